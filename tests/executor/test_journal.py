"""The journal of open attempts in a run folder."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from atex_executor import FolderSink, SinkFull, read_journal
from atex_executor.ending import Ending, infra
from atex_executor.recorder import Recorder
from atex_sut_agent.protocol import FileChunk

from tests.executor.told import Told

PARTIAL = {"name": "part", "partial": True, "status": "info"}


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[FolderSink]:
    with FolderSink(tmp_path / "run") as sink:
        yield sink


def journal(sink: FolderSink) -> bytes:
    return (sink.folder / "partial.jsonl").read_bytes()


def records(sink: FolderSink) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (sink.folder / "results.jsonl").read_bytes().splitlines()]


def test_it_is_empty_when_no_attempt_is_open(sink: FolderSink) -> None:
    first, second = Told(sink, attempt=1), Told(sink, attempt=2)
    first.sends(PARTIAL)
    first.ends()
    assert [attempt.begun.attempt for attempt in read_journal(sink.folder)] == [2]
    second.ends()
    assert journal(sink) == b""
    assert read_journal(sink.folder) == []


def test_only_what_is_in_no_other_place_is_in_it(sink: FolderSink) -> None:
    told = Told(sink)
    begun = journal(sink)
    told.prints(b"output")
    told.sends(*({"name": f"{number}", "status": "pass"} for number in range(1000)))
    assert journal(sink) == begun


def test_it_does_not_grow_with_the_attempts_of_a_long_run(
    sink: FolderSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atex_executor.journal_file._LARGE", 10_000)
    long = Told(sink, attempt=10**6)
    long.sends(PARTIAL)
    for number in range(200):
        short = Told(sink, attempt=number)
        short.sends(PARTIAL)
        short.ends()
        assert len(journal(sink)) < 12_000
    long.sends({**PARTIAL, "more": 1})
    (attempt,) = read_journal(sink.folder)
    assert attempt.held.named["part"].keys == {"status": "info", "more": 1}
    long.ends()
    assert journal(sink) == b""
    assert not list(sink.folder.glob("*.new"))


def test_who_opens_the_folder_next_keeps_what_is_open(tmp_path: Path) -> None:
    with FolderSink(tmp_path) as sink:
        Told(sink, attempt=1).sends(PARTIAL)
        Told(sink, attempt=2).ends()
    with (tmp_path / "partial.jsonl").open("ab") as file:
        file.write(b'["p/t/@1.1",{"kind":"marked","name":"to')
    with FolderSink(tmp_path) as sink:
        Told(sink, attempt=3).ends()
        (attempt,) = read_journal(tmp_path)
        assert (attempt.begun.attempt, list(attempt.held.named)) == (1, ["part"])
        Recorder(sink, attempt).close(infra("its agent is gone"), seconds=1.0)
        assert journal(sink) == b""
        assert [(record["attempt"], record["status"]) for record in records(sink)] == [
            (2, "pass"),
            (3, "pass"),
            (1, "info"),
            (1, "infra"),
        ]


def test_a_line_that_is_none_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with FolderSink(tmp_path) as sink:
        Told(sink).sends(PARTIAL)
        with (tmp_path / "partial.jsonl").open("ab") as file:
            file.write(b"\0\0\0\0\n" + b'["p/t/@1.1",{"kind":"none"}]\n' + b"[]\n\xff\n")
            file.write(b'["p/t/@1.1",' + b"[" * 100_000 + b"\n")
        with (tmp_path / "results.jsonl").open("ab") as file:
            file.write(b'{"test":"/t","platform":"p","serial":1,"attempt":1,"n":"x"}\n')
        (attempt,) = read_journal(tmp_path)
    assert list(attempt.held.named) == ["part"]
    assert len(caplog.records) == 6


def test_an_attempt_whose_agent_is_gone_is_closed_with_what_is_whole(tmp_path: Path) -> None:
    with FolderSink(tmp_path) as sink:
        told = Told(sink)
        told.prints(b"output")
        told.sends_files({"name": "a"}, [("log", b"whole")])
        told.sends_files({**PARTIAL}, [("log", b"whole")])
        told.sends({"name": "a", "testout": "out"}, {"status": "warn", "mine": [1]})
        for name, file, before in (("a", "log", 5), ("part", "log", 5), ("a", "new", None)):
            chunk = FileChunk(run=1, name=name, file=file, offset=before or 0, before=before)
            told.recorder.apply(chunk, b"half")
    with FolderSink(tmp_path) as sink:
        (attempt,) = read_journal(tmp_path)
        final = Recorder(sink, attempt).close(infra("its agent is gone"), seconds=0.0)
        assert (final["status"], final["note"]) == ("infra", "its agent is gone")
        assert final["mine"] == [1]
        part = records(sink)[-2]
        assert (part["n"], part["name"], part["files"]) == (
            2,
            "part",
            ["p/t/@1.1/subtests/part/log"],
        )
        assert told.files_on_disk() == {**told.files, "p/t/@1.1/subtests/a/out": b"output"}


def test_what_is_no_longer_said_of_the_test_comes_back(tmp_path: Path) -> None:
    """The error that only the host saw, a file that was refused, the names that are taken."""
    with FolderSink(tmp_path) as sink:
        told = Told(sink)
        told.sends_files({"name": "a"}, [("log", b"1"), ("log/x", b"2")])
    with FolderSink(tmp_path) as sink:
        (attempt,) = read_journal(tmp_path)
        told.tell = Recorder(sink, attempt).apply
        told.sends_files({"name": "a"}, [("log/x", b"3"), ("log", b"4")])
        (attempt,) = read_journal(tmp_path)
        final = Recorder(sink, attempt).close(Ending(exit_code=0), seconds=0.0)
        assert (final["status"], "'log/x'" in final["note"]) == ("error", True)
        assert told.files_on_disk() == {"p/t/@1.1/subtests/a/log": b"14"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 128 KiB."""
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


FILLING: dict[str, Callable[[Told, int], None]] = {
    "output": lambda told, _: told.prints(b"x" * 1000),
    "records": lambda told, _: told.sends({"name": "a", "note": "x" * 1000}),
    "journal": lambda told, _: told.sends({**PARTIAL, "list": ["x" * 1000]}),
    "files": lambda told, _: told.sends_files({"name": "a"}, [("log", b"x" * 1000)]),
    "links": lambda told, n: told.sends({"name": f"{n}" * 50, "testout": "out"}),
    "marks": lambda told, n: told.marks(f"{n}", "x" * 1000),
}


def fill(told: Told, what: str) -> None:
    for number in range(1000):
        FILLING[what](told, number)


@pytest.mark.parametrize("what", FILLING)
def test_a_full_disk_tears_nothing(small_disk: Path, what: str) -> None:
    """Whatever fills it: what was taken is whole, and another process can go on when there is room again."""
    filling = small_disk / "filling"
    filling.write_bytes(b"x" * 80_000)
    with FolderSink(small_disk / "run") as sink:
        told = Told(sink)
        told.sends(PARTIAL)
        with pytest.raises(SinkFull, match="No space left on device"):
            fill(told, what)
        for data in ((sink.folder / "results.jsonl").read_bytes(), journal(sink)):
            assert data == b"" or data.endswith(b"\n")
            assert all(json.loads(line) for line in data.splitlines())
        filling.unlink()
        (attempt,) = read_journal(sink.folder)
        final = Recorder(sink, attempt).close(infra("no room for results"), seconds=0.0)
        *others, last = records(sink)
        assert (last, others[-1]["name"]) == (final, "part")
        assert len({record["n"] for record in others}) == len(others)
        assert journal(sink) == b""


def test_what_is_held_stays_in_the_journal_where_there_is_no_room_for_it(small_disk: Path) -> None:
    filling = small_disk / "filling"
    with FolderSink(small_disk / "run") as sink:
        told = Told(sink)
        told.sends({**PARTIAL, "text": "x" * 20_000})
        filling.write_bytes(b"x" * (90 * 1024))
        with pytest.raises(SinkFull):
            told.ends()
        filling.unlink()
        (attempt,) = read_journal(sink.folder)
        Recorder(sink, attempt).close(Ending(exit_code=0), seconds=0.0)
        assert [len(record.get("text", "")) for record in records(sink)] == [20_000, 0]
