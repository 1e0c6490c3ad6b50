"""Partial results: spec/RESULTS.md."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from atex_executor import FolderSink
from atex_executor.ending import Ending
from atex_executor.held import MAX_HELD

from tests.executor.told import Told


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    with FolderSink(tmp_path) as sink:
        yield Told(sink)


def partial(name: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "partial": True, **keys}


def without_head(told: Told) -> list[dict[str, Any]]:
    head = ("test", "platform", "serial", "attempt")
    return [
        {key: value for key, value in record.items() if key not in head}
        for record in told.records()
        if not record.get("final")
    ]


def test_it_is_held_until_a_result_of_its_name_closes_it(told: Told) -> None:
    told.sends(partial("a", status="info", list=[1], object={"x": 1, "y": 2}, gone=1))
    told.sends({"name": "b", "status": "pass"})
    told.sends(partial("/t/a", status="warn", note="so far", list=[2], object={"y": None}))
    assert [record["name"] for record in told.records()] == ["b"]
    told.sends({"name": "a", "status": "fail", "note": None, "gone": None, "list": {"now": 1}})
    assert without_head(told) == [
        {"n": 2, "name": "b", "status": "pass"},
        {"n": 4, "name": "a", "status": "fail", "list": {"now": 1}, "object": {"x": 1}},
    ]


def test_a_name_that_was_closed_may_begin_again(told: Told) -> None:
    told.sends(partial("a", x=1), {"name": "a"}, partial("a", y=2), {"name": "a"}, {"name": "a"})
    assert without_head(told) == [
        {"n": 2, "name": "a", "x": 1},
        {"n": 4, "name": "a", "y": 2},
        {"n": 5, "name": "a"},
    ]


def test_what_nothing_closed_is_recorded_at_the_end_in_the_order_of_first_mention(
    told: Told,
) -> None:
    told.sends(partial("c", x=1), partial("a"), partial("b"), partial("c", y=2), {"name": "a"})
    told.sends(partial("a", again=True))
    told.ends(Ending(ended_by="infra", note="gone"))
    assert without_head(told) == [
        {"n": 5, "name": "a"},
        {"n": 4, "name": "c", "x": 1, "y": 2},
        {"n": 3, "name": "b"},
        {"n": 6, "name": "a", "again": True},
    ]
    assert told.records()[-1]["final"]


def test_those_of_the_test_itself_are_in_its_final_record(told: Told) -> None:
    told.sends(
        {"partial": True, "status": "warn", "note": "first", "list": [1], "x": 1},
        {"status": "pass", "note": None, "list": [2]},
        {"name": "/t", "partial": True, "x": None},
    )
    final = told.ends()
    assert told.records() == [final]
    assert (final["status"], final["list"]) == ("warn", [1, 2])
    assert not {"note", "x", "partial"} & final.keys()


def test_its_files_are_there_at_once_and_listed_once(told: Told) -> None:
    told.sends_files(partial("a"), [("log", b"one\n"), ("other", b"")])
    assert told.files_on_disk() == told.files
    told.sends_files(partial("a"), [("log", b"two\n")])
    told.sends(partial("a", testout="out.txt"))
    told.sends_files({"name": "a", "status": "pass"}, [("log", b"three\n"), ("last", b"!")])
    told.sends_files({"name": "a"}, [("log", b"four\n")])
    folder = f"{told.folder}/subtests/a"
    assert without_head(told) == [
        {
            "n": 4,
            "name": "a",
            "status": "pass",
            "files": [f"{folder}/{name}" for name in ("log", "other", "out.txt", "last")],
        },
        {"n": 5, "name": "a"},
    ]
    assert told.files[f"{folder}/log"] == b"one\ntwo\nthree\nfour\n"


def test_the_keys_of_the_runner_are_dropped_from_it(told: Told) -> None:
    told.sends(partial("a", final=True, n=9, exit_code=1, mine=1), {"name": "a", "serial": 7})
    assert without_head(told) == [{"n": 2, "name": "a", "mine": 1}]


def test_more_than_may_be_held_is_an_error_and_what_was_held_is_kept(told: Told) -> None:
    for number in range(40):
        told.sends(partial(f"part {number % 3}", list=[f"{number:05}" * 100_000]))
    told.sends({"name": "part 0", "status": "pass"}, {"name": "other"})
    final = told.ends()
    assert (final["status"], "16 MiB" in final["note"]) == ("error", True)
    first, other, *rest = without_head(told)
    assert (first["name"], first["status"], other["name"]) == ("part 0", "pass", "other")
    assert [record["name"] for record in rest] == ["part 1", "part 2"]
    kept = sorted(item[:5] for record in (first, *rest) for item in record["list"])
    assert kept == [f"{number:05}" for number in range(len(kept))]
    assert 0.9 * MAX_HELD < len(kept) * 500_000 < 1.4 * MAX_HELD


def test_very_many_small_names_are_bounded_too(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atex_executor.held.MAX_HELD", 200_000)
    monkeypatch.setattr("atex_executor.held._LOOK_EVERY", 50_000)
    told.sends(*(partial(f"{number}") for number in range(10_000)))
    assert told.ends()["status"] == "error"
    assert len(told.records()) < 3_000


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what is encoded because it is held."""
    sizes = []

    def encode(value: object) -> bytes:
        data = msgspec.json.encode(value)
        sizes.append(len(data))
        return data

    monkeypatch.setattr("atex_executor.held._encode", encode)
    return sizes


def test_a_live_log_costs_the_same_from_the_first_line_to_the_last(
    told: Told, encoded: list[int]
) -> None:
    """Thousands of partial results with a line of log each: neither memory nor the work for one grows."""

    def send(first: int, lines: int) -> None:
        for number in range(first, first + lines):
            told.sends_files(partial("log", at=number), [("log.txt", b"%06d\n" % number)])

    send(0, 100)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        send(100, 2_000)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(encoded) < 2_100 * len('{"at":2100}')
    assert after - before < 60_000  # most of it is what the test itself keeps of the file
    assert peak - before < 200_000
    told.ends()
    (record,) = without_head(told)
    assert (record["n"], record["at"], len(record["files"])) == (2_100, 2_099, 1)


def test_a_list_that_grows_costs_the_same_from_the_first_item_to_the_last(
    told: Told, encoded: list[int]
) -> None:
    line = "x" * 1000
    for _ in range(100):
        told.sends(*(partial("log", lines=[line]) for _ in range(100)))
    assert len(encoded) < 10_000 + 10
    assert sum(encoded) < 5 * 10_000 * len(line)
