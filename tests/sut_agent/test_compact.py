"""The agent's dict for millions of files."""

import tracemalloc

import pytest
from atex_sut_agent.sut import compact
from atex_sut_agent.sut.compact import CompactDict
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.tuples(st.text(max_size=2), st.integers(0, 2**64 - 1)), max_size=50))
def test_it_is_a_dict(changes: list[tuple[str, int]]) -> None:
    table, model = CompactDict(), dict[str, int]()
    for text, number in changes:
        assert table.get(text) == model.get(text)
        table.set(text, number)
        model[text] = number
    assert {text: table.get(text) for text in model} == model


def test_a_key_among_the_numbers_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """All in one bucket, and their numbers are each other's keys, and what is in between looks like keys."""
    monkeypatch.setattr(compact, "_BUCKETS", 1)
    texts = [f"file {number}" for number in range(50)]
    numbers = [hash(text) % 2**64 for text in texts]
    table = CompactDict()
    for text, number in zip(texts, numbers[1:] + numbers[:1], strict=True):
        assert table.get(text) is None
        table.set(text, number)
    assert [table.get(text) for text in texts] == numbers[1:] + numbers[:1]


def test_many_take_little_memory() -> None:
    tracemalloc.start()
    try:
        table = CompactDict()
        for number in range(100_000):
            table.set(f"call/{number}/strace.txt", number)
        memory, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert memory < 35 * 100_000
    assert table.get("call/4711/strace.txt") == 4711
