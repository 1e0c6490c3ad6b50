"""What a test asks for beyond its results: marks, added tests, restarts, and that all of it is safe on disk."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from atex_executor import AddedTest, FolderSink, read_journal
from atex_executor.errors import ProtocolBroken, SinkFull
from atex_executor.recorder import Recorder
from atex_sut_agent.protocol import (
    MAX_HEAD,
    AgentMessage,
    Clock,
    Cut,
    FileChunk,
    Marked,
    Restarting,
    Sync,
    TestAdded,
    encode_host_message,
)

from tests.executor.told import PASSED, Teller, attempt_at
from tests.waits import Background, eventually

CLOCK = Clock(used=1.5, limit=300.0, saved=((1.0, 60.0),))


class Wishing(Teller):
    """A test, and what its wishes come to."""

    def __init__(self, sink: FolderSink) -> None:
        self.sink = sink
        self.marked: list[tuple[str, str]] = []
        self.added: list[AddedTest] = []
        self.recorder = Recorder(
            sink,
            attempt_at(),
            tests={"/t", "/other"},
            on_mark=lambda name, value: self.marked.append((name, value)),
            on_addtest=self.added.append,
        )
        super().__init__("p/t/@1.1", self.recorder.apply)

    def ends(self) -> dict[str, Any]:
        return self.recorder.close(PASSED, seconds=1.0)


@pytest.fixture
def test(tmp_path: Path) -> Iterator[Wishing]:
    with FolderSink(tmp_path) as sink:
        yield Wishing(sink)


def test_marks_are_handed_on_and_journaled(test: Wishing) -> None:
    test.marks("snapshot", "here")
    test.marks("snapshot")
    assert test.marked == [("snapshot", "here"), ("snapshot", "")]
    (attempt,) = read_journal(test.sink.folder)
    assert attempt.marks == {"snapshot": ""}


def test_added_tests_are_handed_on_and_journaled(test: Wishing) -> None:
    test.adds("/other", {"A": "b c"})
    test.adds("/t", {})
    expected = [
        AddedTest(number=1, test="/other", environment={"A": "b c"}),
        AddedTest(number=2, test="/t"),
    ]
    assert test.added == expected
    (attempt,) = read_journal(test.sink.folder)
    assert attempt.added == expected
    assert test.ends()["status"] == "pass"


def test_a_test_that_is_not_there_can_not_be_added(test: Wishing) -> None:
    test.adds("/none", {})
    test.adds("/other", {})
    final = test.ends()
    assert (final["status"], final["note"]) == (
        "error",
        "control file: addtest: there is no test '/none' on this platform",
    )
    assert [added.test for added in test.added] == ["/other"]


def test_wishes_without_end_are_an_error(test: Wishing) -> None:
    for number in range(200):
        test.marks(f"m{number}", "x" * 4000)
        test.adds("/other", {"A": "x" * 4000})
    assert len(test.marked) + len(test.added) < 300
    final = test.ends()
    assert (final["status"], "1 MiB of marks" in final["note"]) == ("error", True)


@pytest.mark.parametrize(
    "message",
    [
        Marked(run=1, name="", value=""),
        Marked(run=1, name="a=b", value=""),
        Marked(run=1, name="a", value="x" * 20_000),
        TestAdded(run=1, number=0, test="/t", environment={}),
        TestAdded(run=1, number=2, test="/t", environment={}),
        TestAdded(run=1, number=10**30, test="/t", environment={}),
        TestAdded(run=1, number=1, test="/t", environment={"": "x"}),
        TestAdded(run=1, number=1, test="/t", environment={"A=": "x"}),
        TestAdded(run=1, number=1, test="/t", environment={"A": "\0"}),
        TestAdded(run=1, number=1, test="/t", environment={"A": "x" * 20_000}),
        TestAdded(run=1, number=1, test="/t" * 20_000, environment={}),
        Restarting(run=1, clock=Clock(used=-1.0, limit=1.0)),
        Restarting(run=1, clock=Clock(used=1.0, limit=1e300)),
        Restarting(run=1, clock=CLOCK, patience=-1.0),
        Restarting(run=1, clock=Clock(used=1.0, limit=1.0, saved=((1.0, 1.0),) * 10_001)),
        Restarting(run=1, clock=Clock(used=1.0, limit=1.0, saved=((1.0, -1.0),))),
    ],
)
def test_wishes_that_no_agent_passes_on(test: Wishing, message: AgentMessage) -> None:
    with pytest.raises(ProtocolBroken):
        test.recorder.apply(message, b"")
    assert not test.marked + test.added
    (attempt,) = read_journal(test.sink.folder)
    assert attempt.announced is None


@pytest.mark.parametrize("message", [Sync(run=1), Restarting(run=1, clock=CLOCK, patience=60.0)])
def test_all_before_is_safe_on_disk_when_it_may_be_acknowledged(
    test: Wishing, monkeypatch: pytest.MonkeyPatch, message: AgentMessage
) -> None:
    synced: list[str] = []
    monkeypatch.setattr("atex_executor.folder._sync", synced.append)
    test.sends({"name": "a"}, {"name": "b", "partial": True})
    test.sends_files({"name": "c"}, [("log", b"x")])
    test.prints(b"output")
    test.recorder.apply(message, b"")
    folder = test.sink.folder
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert len(written) == 4
    assert {*map(str, written), str(folder)} <= set(synced)


def test_a_sync_waits_for_one_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another thread is about to sync is not safe yet."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(path: str) -> None:
        begun.set()
        assert go_on.wait(20)

    with FolderSink(tmp_path) as sink:
        monkeypatch.setattr("atex_executor.folder._sync", slow)
        sink.records([{}])
        assert begun.wait(20)  # in the background
        second = Background(sink.sync)
        eventually(sink._syncing.locked)
        assert second.waiting
        go_on.set()
        second.result()


def test_a_sync_that_fails_is_not_acknowledged(
    test: Wishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise SinkFull("no room")

    with monkeypatch.context() as patch:
        patch.setattr(test.sink, "sync", full)
        with pytest.raises(SinkFull):
            test.recorder.apply(Sync(run=1), b"")


def test_a_restart_is_noted_and_the_test_goes_on_where_it_was(test: Wishing) -> None:
    test.prints(b"before")
    test.sends_files({"name": "a"}, [("log", b"one"), ("empty", b"")])
    test.sends_files({"name": "a"}, [("log", b"two")])
    test.sends_files({"name": "b", "partial": True}, [("log", b"12345")])
    test.sends({"name": "a", "testout": "out"})
    test.adds("/other", {})
    test.recorder.apply(FileChunk(run=1, name="a", file="log", offset=6, before=6), b"half")
    test.recorder.apply(FileChunk(run=1, name="a", file="new", offset=0), b"half")
    test.recorder.apply(Restarting(run=1, clock=CLOCK, patience=60.0), b"")
    (attempt,) = read_journal(test.sink.folder)
    assert attempt.announced is not None
    assert (attempt.announced.clock, attempt.announced.patience) == (CLOCK, 60.0)

    lengths, again = test.recorder.again(CLOCK, incarnation="second")
    assert [cut for message in lengths for cut in message.files] == [
        Cut(name="a", file="log", length=6),
        Cut(name="a", file="empty", length=0),
        Cut(name="b", file="log", length=5),
    ]
    assert (again.clock, again.results, again.output, again.added) == (CLOCK, 4, 6, 1)
    (attempt,) = read_journal(test.sink.folder)
    assert (attempt.announced, attempt.restarts, attempt.incarnation) == (None, 1, "second")

    test.prints(b"after")
    test.sends_files({"name": "b"}, [("log", b"6")])
    test.ends()
    files = test.sink.folder / "files/p/t/@1.1"
    assert (files / "output.txt").read_bytes() == b"beforeafter"
    assert (files / "subtests/a/log").read_bytes() == b"onetwo"
    assert (files / "subtests/b/log").read_bytes() == b"123456"
    assert not (files / "subtests/a/new").exists()


def test_very_many_lengths_fit_into_frames(test: Wishing) -> None:
    name = "\1" * 4000
    test.sends_files({"name": name}, [(f"f{number}", b"") for number in range(300)])
    lengths, _ = test.recorder.again(CLOCK, incarnation="second")
    assert sum(len(message.files) for message in lengths) == 300
    assert len(lengths) > 1
    assert all(len(encode_host_message(message)) < MAX_HEAD for message in lengths)
