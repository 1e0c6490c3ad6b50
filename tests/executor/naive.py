"""Merging as slow and plain as can be: what atex_executor.merge is compared with."""

from collections.abc import Sequence
from typing import Any


def merged_at_once(objects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what `objects` are together, all looked at at once and key by key."""
    keys = dict.fromkeys(key for each in objects for key in each)
    values = {key: [each[key] for each in objects if key in each] for key in keys}
    last = {key: _last_of_a_kind(those) for key, those in values.items()}
    return {key: _together(those) for key, those in last.items() if those != [None]}


def _last_of_a_kind(values: list[Any]) -> list[Any]:
    """Return the values at the end that are all lists, or all objects; else only the last one."""
    kind = type(values[-1])
    if kind not in (list, dict):
        return values[-1:]
    others = [index for index, value in enumerate(values) if type(value) is not kind]
    return values[others[-1] + 1 :] if others else values


def _together(values: list[Any]) -> Any:
    if isinstance(values[0], dict):
        return merged_at_once(values)
    if isinstance(values[0], list):
        return [item for value in values for item in value]
    return values[0]
