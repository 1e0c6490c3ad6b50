"""What the host knows of a test that announced a restart and is started again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from atex_executor import FolderSink, read_journal
from atex_executor.errors import ProtocolBroken
from atex_sut_agent.protocol import (
    MAX_HEAD,
    Clock,
    Cut,
    FileChunk,
    Restarting,
    encode_host_message,
)

from tests.executor.told import Told

CLOCK = Clock(used=1.5, limit=300.0, saved=((1.0, 60.0),))


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    with FolderSink(tmp_path) as sink:
        yield Told(sink)


def test_a_restart_is_noted_and_the_test_goes_on_where_it_was(told: Told) -> None:
    told.prints(b"before")
    told.sends_files({"name": "a"}, [("log", b"one"), ("empty", b"")])
    told.sends_files({"name": "a"}, [("log", b"two")])
    told.sends_files({"name": "b", "partial": True}, [("log", b"12345")])
    told.sends({"name": "a", "testout": "out"})
    told.adds("/t", {})
    told.recorder.apply(FileChunk(run=1, name="a", file="log", offset=6, before=6), b"half")
    told.recorder.apply(FileChunk(run=1, name="a", file="new", offset=0), b"half")
    told.recorder.apply(Restarting(run=1, clock=CLOCK, patience=60.0), b"")
    (attempt,) = read_journal(told.sink.folder)
    assert attempt.announced is not None
    assert (attempt.announced.clock, attempt.announced.patience) == (CLOCK, 60.0)

    lengths, again = told.recorder.again(CLOCK, incarnation="second")
    assert [cut for message in lengths for cut in message.files] == [
        Cut(name="a", file="log", length=6),
        Cut(name="a", file="empty", length=0),
        Cut(name="b", file="log", length=5),
    ]
    assert (again.clock, again.results, again.output, again.added) == (CLOCK, 4, 6, 1)
    (attempt,) = read_journal(told.sink.folder)
    assert (attempt.announced, attempt.restarts, attempt.incarnation) == (None, 1, "second")

    told.prints(b"after")
    told.sends_files({"name": "b"}, [("log", b"6")])
    told.ends()
    files = told.sink.folder / "files/p/t/@1.1"
    assert (files / "output.txt").read_bytes() == b"beforeafter"
    assert (files / "subtests/a/log").read_bytes() == b"onetwo"
    assert (files / "subtests/b/log").read_bytes() == b"123456"
    assert not (files / "subtests/a/new").exists()


def test_very_many_lengths_fit_into_frames(told: Told) -> None:
    name = "\1" * 4000
    told.sends_files({"name": name}, [(f"f{number}", b"") for number in range(300)])
    lengths, _ = told.recorder.again(CLOCK, incarnation="second")
    assert sum(len(message.files) for message in lengths) == 300
    assert len(lengths) > 1
    assert all(len(encode_host_message(message)) < MAX_HEAD for message in lengths)


@pytest.mark.parametrize(
    "message",
    [
        Restarting(run=1, clock=Clock(used=-1.0, limit=1.0)),
        Restarting(run=1, clock=Clock(used=1.0, limit=1e300)),
        Restarting(run=1, clock=CLOCK, patience=-1.0),
        Restarting(run=1, clock=Clock(used=1.0, limit=1.0, saved=((1.0, 1.0),) * 10_001)),
        Restarting(run=1, clock=Clock(used=1.0, limit=1.0, saved=((1.0, -1.0),))),
    ],
)
def test_restarts_that_no_agent_announces(told: Told, message: Restarting) -> None:
    with pytest.raises(ProtocolBroken):
        told.recorder.apply(message, b"")
    (attempt,) = read_journal(told.sink.folder)
    assert attempt.announced is None
