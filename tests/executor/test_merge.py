"""Merging: spec/RESULTS.md, "Partial results"."""

import copy
from typing import Any

import pytest
from atex_executor.merge import merge
from hypothesis import given
from hypothesis import strategies as st

from tests.executor.naive import merged_at_once

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


def merged(*objects: dict[str, Any]) -> dict[str, Any]:
    held: dict[str, Any] = {}
    for further in objects:
        merge(held, further)
    return held


@pytest.mark.parametrize(
    ("before", "further", "after"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": None}, {}),
        ({"a": 1}, {"a": "x"}, {"a": "x"}),
        ({"a": True}, {"a": False}, {"a": False}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 1, 2]}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": None, "d": [3]}}, {"a": {"b": 1, "d": [3]}}),
        ({"a": [1]}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": [1]}, {"a": [1]}),
        ({"a": {"b": 1}}, {"a": 3}, {"a": 3}),
    ],
)
def test_rules(before: dict[str, Any], further: dict[str, Any], after: dict[str, Any]) -> None:
    assert merged(before, further) == after


@given(OBJECTS, OBJECTS)
def test_what_is_merged_stays_as_it_was(one: dict[str, Any], other: dict[str, Any]) -> None:
    copies = copy.deepcopy((one, other))
    merged(one, other, one)
    assert (one, other) == copies


@given(OBJECTS, OBJECTS)
def test_nothing_is_held_as_null(one: dict[str, Any], other: dict[str, Any]) -> None:
    def values(held: dict[str, Any]) -> list[Any]:
        inner = [value for value in held.values() if isinstance(value, dict)]
        return [*held.values(), *(value for each in inner for value in values(each))]

    assert None not in values(merged(one, other))


@given(st.lists(OBJECTS, max_size=6))
def test_one_after_the_other_is_all_at_once(objects: list[dict[str, Any]]) -> None:
    assert merged(*objects) == merged_at_once(objects)


@given(OBJECTS, OBJECTS)
def test_null_deletes_for_good(one: dict[str, Any], other: dict[str, Any]) -> None:
    nothing = dict.fromkeys(one)
    assert merged(one, nothing) == merged(one, nothing, nothing) == {}
    assert merged(one, nothing, other) == merged(other)


def test_a_list_is_extended_where_it_is() -> None:
    held = merged({"a": [1], "b": {"c": [1]}})
    first, second = held["a"], held["b"]["c"]
    merge(held, {"a": [2], "b": {"c": [2]}})
    assert held["a"] is first
    assert held["b"]["c"] is second
