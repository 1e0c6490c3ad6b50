"""What the host has on its disk before it acknowledges `sync` and `restart`: a power cut takes none of it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from atex_executor import FolderSink, read_journal
from atex_sut_agent.protocol import Clock, Restarting, Sync

from tests.executor.told import Told


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the files that were."""
    names: set[str] = set()
    fsync = os.fsync

    def note(fd: int) -> None:
        fsync(fd)
        names.add(Path(os.readlink(f"/proc/self/fd/{fd}")).name)

    monkeypatch.setattr(os, "fsync", note)
    return names


@pytest.fixture
def told(tmp_path: Path, synced: set[str]) -> Iterator[Told]:
    with FolderSink(tmp_path) as sink:
        told = Told(sink)
        told.prints(b"printed")
        told.sends({"name": "a"}, {"name": "b", "partial": True})
        told.sends_files({"name": "c"}, [("log", b"123")])
        synced.clear()
        yield told
        told.ends()


WRITTEN = {"results.jsonl", "partial.jsonl", "output.txt", "log"}


def test_sync(told: Told, synced: set[str]) -> None:
    told.prints(b"more")
    told.sends({"name": "d"}, {"name": "b", "partial": True, "x": 1})
    told.sends_files({"name": "c"}, [("log", b"4")])
    told.recorder.apply(Sync(run=1), b"")
    assert synced >= WRITTEN


def test_restart(told: Told, synced: set[str], tmp_path: Path) -> None:
    told.prints(b"more")
    told.sends({"name": "d"}, {"name": "b", "partial": True, "x": 1})
    told.sends_files({"name": "c"}, [("log", b"4")])
    clock = Clock(used=3.0, limit=300.0, saved=((1.0, 60.0),))
    told.recorder.apply(Restarting(run=1, clock=clock, patience=90.0), b"")
    assert synced >= WRITTEN
    (attempt,) = read_journal(tmp_path)
    assert attempt.announced is not None
    assert (attempt.announced.clock, attempt.announced.patience) == (clock, 90.0)
