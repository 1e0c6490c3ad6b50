"""The host is killed with -9 at any moment, and another process goes on: the run folder shows nothing of it."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from atex_executor import FolderSink, OpenAttempt, Sink, read_journal
from atex_executor.ending import Ending
from atex_executor.journal import AddedTest
from atex_executor.recorder import Recorder
from atex_executor.resume import open_attempts
from atex_sut_agent.protocol import (
    Again,
    Clock,
    Lengths,
    Restarting,
    RunMessage,
    Sync,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.executor.memory_sink import MemorySink
from tests.executor.told import PASSED, Teller, attempt_at

BEGUN = attempt_at()
CLOCK = Clock(used=1.5, limit=300.0, saved=((1.0, 60.0),))

Frame = tuple[RunMessage, bytes]
Restart = tuple[list[Lengths], Again]


class Killed(BaseException):
    """The process is no more."""


class Mortal(Sink):
    """Passes everything on to `sink`, and dies in the middle of its `last`th call, `torn` (0 to 1) of it done."""

    def __init__(self, sink: Sink, last: int, torn: float) -> None:
        self._sink = sink
        self._left = last
        self._torn = torn

    def _dies(self) -> bool:
        self._left -= 1
        return self._left == 0

    def _die_in(self, items: Sequence[Any], write: Callable[[Sequence[Any]], object]) -> None:
        done = items[: int(len(items) * self._torn + 0.5)]
        if done:
            write(done)
        raise Killed

    def records(self, lines: Sequence[Mapping[str, Any]]) -> None:
        if self._dies():
            self._die_in(lines, self._sink.records)
        self._sink.records(lines)

    def journal(self, attempt: str, lines: Sequence[Any]) -> None:
        if self._dies():
            self._die_in(lines, lambda done: self._sink.journal(attempt, done))
        self._sink.journal(attempt, lines)

    def write(self, path: str, offset: int, data: bytes) -> None:
        if self._dies():
            self._die_in(data, lambda done: self._sink.write(path, offset, bytes(done)))
        self._sink.write(path, offset, data)

    def link(self, existing: str, path: str) -> bool:
        if self._dies():
            if self._torn > 0.5:
                self._sink.link(existing, path)
            raise Killed
        return self._sink.link(existing, path)

    def cut(self, path: str, length: int) -> None:
        if self._dies():
            raise Killed
        self._sink.cut(path, length)

    def remove(self, path: str) -> None:
        if self._dies():
            raise Killed
        self._sink.remove(path)

    def forget(self, attempt: str) -> None:
        if self._dies():
            raise Killed
        self._sink.forget(attempt)

    def sync(self) -> None:
        if self._dies():
            raise Killed
        self._sink.sync()

    def same_file(self, one: str, other: str) -> bool:
        return self._sink.same_file(one, other)

    def length(self, path: str) -> int | None:
        return self._sink.length(path)

    def files(self, folder: str) -> Iterator[str]:
        return self._sink.files(folder)

    def journaled(self, attempt: str) -> Iterator[bytes]:
        return self._sink.journaled(attempt)

    def close(self) -> None:
        """The sink is closed by who opened it."""


class MortalFolder(Mortal):
    """The same above a run folder, where a line may be torn."""

    def __init__(self, sink: FolderSink, last: int, torn: float) -> None:
        super().__init__(sink, last, torn)
        self._folder = sink.folder

    def records(self, lines: Sequence[Mapping[str, Any]]) -> None:
        if self._dies():
            self._tear("results.jsonl", lines)
        self._sink.records(lines)

    def journal(self, attempt: str, lines: Sequence[Any]) -> None:
        if self._dies():
            self._tear("partial.jsonl", [(attempt, line) for line in lines])
        self._sink.journal(attempt, lines)

    def _tear(self, name: str, lines: Sequence[Any]) -> None:
        data = msgspec.json.Encoder().encode_lines(lines)
        with (self._folder / name).open("ab") as file:
            file.write(data[: int(len(data) * self._torn)])
        raise Killed


class Host:
    """Processes of a host, one after the other, that take `starts`: the frames of each start of the test."""

    def __init__(self, starts: list[list[Frame]], ending: Ending = PASSED) -> None:
        self.starts = starts
        self.ending = ending
        self.marks: list[tuple[str, str]] = []
        self.added: dict[int, AddedTest] = {}
        self.again: dict[int, Restart] = {}
        self.at = 0  # the frame that was being applied last, of its start
        self.start = 0

    def add(self, added: AddedTest) -> None:
        self.added[added.number] = added

    def live(self, sink: Sink, attempt: OpenAttempt | None, replay: float = 0.0) -> None:
        """Begin, or go on: then the last frames come again, all of them if `replay` is 0, and just the last if 1."""
        recorder = Recorder(
            sink,
            attempt or BEGUN,
            tests={"/t", "/other"},
            on_mark=lambda *mark: self.marks.append(mark),
            on_addtest=self.add,
        )
        if attempt is not None:
            self.marks += attempt.marks.items()
            self.added |= {added.number: added for added in attempt.added}
            if attempt.restarts > self.start:
                self.start, self.at = attempt.restarts, 0
        self.at = round(self.at * replay)
        while True:
            frames = self.starts[self.start]
            for index in range(self.at, len(frames)):
                self.at = index
                recorder.apply(*frames[index])
            if self.start == len(self.starts) - 1:
                break
            self.again[self.start + 1] = recorder.again(CLOCK, incarnation=f"{self.start + 1}")
            self.start, self.at = self.start + 1, 0
        recorder.close(self.ending, seconds=1.0)


DEATHS = st.lists(
    st.tuples(st.integers(1, 25), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=3
)
NAMES = st.sampled_from([None, "a", "b", "/t/a", "/x"])
FILE_NAMES = st.sampled_from(["f", "g", "f/x", "output.txt"])
FILES = st.lists(st.tuples(FILE_NAMES, st.binary(max_size=8)), min_size=1, max_size=3)
# What is dropped leaves folders behind; who takes one of their names for a file is told so, now or when it comes again.
OTHER_FILES = st.lists(
    st.tuples(st.sampled_from(["g", "d/h"]), st.binary(max_size=8)), min_size=1, max_size=3
)
RESULTS = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "status": st.none() | st.sampled_from(["pass", "fail", "odd"]),
        "note": st.none() | st.text(max_size=3),
        "partial": st.booleans(),
        "mine": st.none() | st.lists(st.integers(0, 9), max_size=2),
        "testout": st.sampled_from(["f", "f/x", "output.txt", "out"]),
        "n": st.integers(),
    },
)
STEPS = st.one_of(
    st.tuples(st.just("prints"), st.tuples(st.binary(min_size=1, max_size=9))),
    st.tuples(st.just("sends"), st.lists(RESULTS, min_size=1, max_size=4)),
    st.tuples(st.just("sends_files"), st.tuples(RESULTS, FILES)),
    st.tuples(st.just("drops"), st.tuples(st.sampled_from(["", "a", "b"]), OTHER_FILES)),
    st.tuples(st.just("marks"), st.tuples(st.sampled_from("mn"), st.text(max_size=2))),
    st.tuples(
        st.just("adds"), st.tuples(st.sampled_from(["/t", "/other", "/none"]), st.just({"A": "b"}))
    ),
    st.tuples(st.just("restart"), st.tuples(st.sampled_from(["", "a"]), OTHER_FILES)),
)


def frames_of(steps: list[tuple[str, Any]]) -> list[list[Frame]]:
    """What an agent says, start by start, of a test that does this."""
    starts: list[list[Frame]] = [[]]
    teller = Teller(BEGUN.folder, lambda message, tail: starts[-1].append((message, tail)))
    for step, words in steps:
        if step == "sends_files" and words[0].get("testout") in dict(words[1]):
            continue  # no agent lets it through
        if step == "restart":
            teller.begins(*words)
            teller.tell(Restarting(run=1, clock=CLOCK, patience=60.0), b"")
            starts.append([])
        else:
            getattr(teller, step)(*words)
    teller.tell(Sync(run=1), b"")
    return starts


def undisturbed(starts: list[list[Frame]], sink: Sink) -> Host:
    host = Host(starts)
    host.live(sink, None)
    return host


def live(host: Host, sink: MemorySink, deaths: list[tuple[int, float, float]]) -> None:
    """Die so often, and then come to an end."""
    attempt = None
    for last, torn, replay in deaths:
        try:
            return host.live(Mortal(sink, last, torn), attempt, replay)
        except Killed:
            still_open = open_attempts(sink.journal_lines, sink.lines)
            if not still_open and sink.lines:
                return None  # it had said the last word
            attempt = still_open[0] if still_open else None
    return host.live(sink, attempt)


@given(
    steps=st.lists(STEPS, max_size=10),
    deaths=DEATHS,
)
def test_nothing_is_lost_and_nothing_is_there_twice(
    steps: list[tuple[str, Any]], deaths: list[tuple[int, float, float]]
) -> None:
    starts = frames_of(steps)
    expected = MemorySink(BEGUN.folder)
    calm = undisturbed(starts, expected)

    sink = MemorySink(BEGUN.folder)
    host = Host(starts)
    live(host, sink, deaths)

    assert [json.loads(line) for line in sink.lines] == [
        json.loads(line) for line in expected.lines
    ]
    assert sink.content() == expected.content()
    assert dict(host.marks) == dict(calm.marks)
    assert host.added == calm.added
    for number, (lengths, again) in host.again.items():
        assert (lengths, again.results, again.output) == (
            calm.again[number][0],
            calm.again[number][1].results,
            calm.again[number][1].output,
        )


@settings(max_examples=25)
@given(steps=st.lists(STEPS, max_size=10), deaths=DEATHS)
def test_neither_in_a_run_folder(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, Any]],
    deaths: list[tuple[int, float, float]],
) -> None:
    starts = frames_of(steps)
    calm, disturbed = (tmp_path_factory.mktemp("run") for _ in range(2))
    with FolderSink(calm) as sink:
        undisturbed(starts, sink)

    host = Host(starts)
    for last, torn, replay in [*deaths, (10**6, 0.0, 0.0)]:
        attempts = read_journal(disturbed)
        with FolderSink(disturbed) as sink, suppress(Killed):
            if attempts or not (disturbed / "results.jsonl").read_bytes():
                host.live(MortalFolder(sink, last, torn), attempts[0] if attempts else None, replay)

    assert content(disturbed) == content(calm)
    assert (disturbed / "partial.jsonl").read_bytes() == b""


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes().replace(bytes(folder), b"run")
        for path in folder.rglob("*")
        if path.is_file()
    }
