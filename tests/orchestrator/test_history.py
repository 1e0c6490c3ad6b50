"""Whenever a process is killed, what it wrote says what there is: a run that writes lines, cut off at any of them."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from atex_executor import unstarted_record
from atex_executor.journal import AddedTest, Attempt
from atex_executor.records import final_record, record_head
from atex_fmf import Test
from atex_orchestrator.events import (
    Event,
    MachineFailed,
    MachineLeaving,
    MachineMarked,
    MachineReady,
    MachineReleased,
    MachineRequested,
    MachineReserved,
    RunResumed,
    RunStarted,
    RunStopping,
    TestAdded,
    TestFinished,
    TestsGivenUp,
    TestStarted,
)
from atex_orchestrator.history import History, read_history
from atex_orchestrator.results import PlatformInfo, RunInfo
from atex_provision import Holder
from hypothesis import given, settings
from hypothesis import strategies as st

TESTS = [Test(name=f"/t{serial}", test="true", serial=serial) for serial in range(1, 7)]
INFO = RunInfo(
    started="",
    platforms=[
        PlatformInfo(name="p", tree="/tree", tests={test.serial: test.name for test in TESTS})
    ],
)
Line = tuple[str, Any]
EVENTS, RESULTS, JOURNAL = "events.jsonl", "results.jsonl", "partial.jsonl"


class Writer:
    """Writes what a run writes, in the same order; and knows what a reader should make of all lines up to any one."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.workers = 0
        self.free: list[int] = []
        self.attempts: dict[int, int] = {}
        self.given_up: set[int] = set()
        self.say(RunStarted(tests=len(TESTS), holder=Holder.nobody()))

    def say(self, event: Event) -> None:
        self.lines.append((EVENTS, event))

    def hire(self, ready: bool, fails: bool) -> None:
        self.workers += 1
        of: dict[str, Any] = {"worker": self.workers, "platform": "p"}
        name = f"m{self.workers}"
        self.say(MachineRequested(pool="pool", **of))
        self.say(MachineReserved(machine=name, lease=f"lease-{self.workers}", **of))
        if ready:
            self.say(MachineReady(machine=name, session="a" * 32, **of))
            self.free.append(self.workers)
        elif fails:
            self.say(MachineFailed(machine=name, during="prepare", reason="bad", **of))
            self.say(MachineReleased(machine=name, **of))

    def mark(self, value: str) -> None:
        if self.free:
            worker = self.free[0]
            self.say(
                MachineMarked(
                    worker=worker, platform="p", machine=f"m{worker}", name="mark", value=value
                )
            )

    def run(self, test: Test, status: str, adds: bool, really: bool) -> None:
        """From the order to the end; where it does not `really` start, without a journal."""
        if not self.free or test.serial in self.given_up:
            return
        worker = self.free[-1]
        number = self.attempts[test.serial] = self.attempts.get(test.serial, 0) + 1
        of: dict[str, Any] = {"worker": worker, "platform": "p", "machine": f"m{worker}"}
        which: dict[str, Any] = {"test": test.name, "serial": test.serial, "attempt": number}
        self.say(TestStarted(**of, **which))
        if really:
            begun = Attempt.of(
                test,
                platform="p",
                machine=f"m{worker}",
                attempt=number,
                started="",
                session="a" * 32,
            )
            folder = begun.folder
            self.lines.append((JOURNAL, (folder, begun)))
            self.lines.append((RESULTS, {**record_head(test, "p", number), "n": 1, "name": "r"}))
            if adds:
                self.lines.append((JOURNAL, (folder, AddedTest(number=1, test="/t1"))))
                self.say(
                    TestAdded(
                        worker=worker,
                        platform="p",
                        test="/t1",
                        serial=100 + len(self.lines),
                        by_serial=test.serial,
                        by_attempt=number,
                        number=1,
                    )
                )
            head = record_head(test, "p", number)
            final = final_record(head, machine=f"m{worker}", status=status, seconds=1.0)
        else:
            status = "infra"
            final = unstarted_record(test, "p", status, "no packages", number)
        self.lines.append((RESULTS, final))
        self.say(TestFinished(**of, **which, status=status, seconds=1.0, unstarted=not really))

    def let_go(self) -> None:
        if self.free:
            worker = self.free.pop(0)
            of: dict[str, Any] = {"worker": worker, "platform": "p", "machine": f"m{worker}"}
            self.say(MachineLeaving(**of))
            self.say(MachineReleased(**of))

    def give_up(self, test: Test) -> None:
        if test.serial not in self.attempts:
            self.attempts[test.serial] = 1
            self.given_up.add(test.serial)
            self.lines.append((RESULTS, unstarted_record(test, "p", "infra", "no machine")))
            self.say(TestsGivenUp(platform="p", serials=(test.serial,), reason="no machine"))

    def stop(self) -> None:
        self.say(RunStopping(reason="enough"))
        self.free.clear()


STATUSES = st.sampled_from(["pass", "fail", "infra"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hire"), st.tuples(st.booleans(), st.booleans())),
        st.tuples(st.just("mark"), st.tuples(st.sampled_from("ab"))),
        st.tuples(
            st.just("run"),
            st.tuples(st.sampled_from(TESTS), STATUSES, st.booleans(), st.booleans()),
        ),
        st.tuples(st.just("let_go"), st.just(())),
        st.tuples(st.just("give_up"), st.tuples(st.sampled_from(TESTS))),
        st.tuples(st.just("stop"), st.just(())),
    ),
    min_size=4,
    max_size=20,
)


def write(folder: Path, lines: list[Line], torn: bytes = b"") -> None:
    """Write these lines, and the beginning of one more into the file of the last of them."""
    for name in (EVENTS, RESULTS, JOURNAL):
        data = msgspec.json.Encoder().encode_lines([line for file, line in lines if file == name])
        (folder / name).write_bytes(data + (torn if lines and lines[-1][0] == name else b""))


def started(lines: list[Line]) -> set[tuple[str, int, int]]:
    return {
        (line.platform, line.serial, line.attempt)
        for _, line in lines
        if isinstance(line, TestStarted)
    }


def check(history: History, lines: list[Line]) -> None:
    """Compare what is read with what was written."""
    finals = [line for file, line in lines if file == RESULTS and line.get("final")]
    closed = [(line["platform"], line["serial"], line["attempt"]) for line in finals]
    assert set(history.unfinished) == started(lines) - set(closed)
    begun = {
        line[1].folder
        for _, line in lines
        if isinstance(line, tuple) and isinstance(line[1], Attempt)
    }
    for unfinished in history.unfinished.values():
        assert unfinished.worker is not None
        assert unfinished.left is None or unfinished.left.begun.folder in begun
    stopped = any(isinstance(line, RunStopping) for _, line in lines)
    for final in finals:
        past = history.test("p", final["serial"])
        assert past.last >= final["attempt"]
        counted = [event.attempt for event in past.finished] or ([1] if past.given_up else [])
        assert final["attempt"] in counted or (stopped and final["status"] == "infra")
    assert len(history.added) == len({event.serial for event in history.added})
    events = [line for file, line in lines if file == EVENTS]
    gone = {event.worker for event in events if isinstance(event, MachineReleased)}
    there = {event.worker for event in events if isinstance(event, MachineRequested)} - gone
    assert set(history.machines) == there
    for worker, machine in history.machines.items():
        of = [event for event in events if getattr(event, "worker", 0) == worker]
        marks = [event.value for event in of if isinstance(event, MachineMarked)]
        assert machine.marks == ({"mark": marks[-1]} if marks else {})
        assert bool(machine.session) == any(isinstance(event, MachineReady) for event in of)
        if machine.usable:
            assert not any(isinstance(event, MachineLeaving | MachineFailed) for event in of)
    assert history.workers == max(
        [event.worker for event in events if isinstance(event, MachineRequested)], default=0
    )


@settings(max_examples=100)
@given(steps=STEPS, cut=st.integers(0), torn=st.binary(max_size=5))
def test_whatever_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any]], cut: int, torn: bytes
) -> None:
    writer = Writer()
    for step, words in steps:
        getattr(writer, step)(*words)
    lines = writer.lines[: cut % len(writer.lines) + 1]
    folder = tmp_path_factory.mktemp("run")
    write(folder, lines, torn.replace(b"\n", b""))
    history = read_history(folder, INFO)
    check(history, lines)
    said = [*lines, *((EVENTS, event) for event in history.unsaid)]
    write(folder, said)
    again = read_history(folder, INFO)
    assert again.unsaid == []
    assert again.unfinished.keys() == history.unfinished.keys()
    assert [past.finished for past in again.tests.values() if past.finished] == [
        past.finished for past in history.tests.values() if past.finished
    ]


def ended(status: str, attempt: int = 1) -> list[Line]:
    """An attempt at test 1, from its start to its end, on a machine that is there."""
    which: dict[str, Any] = {"test": "/t1", "serial": 1, "attempt": attempt}
    of: dict[str, Any] = {"worker": 1, "platform": "p", "machine": "m1"}
    head = record_head(TESTS[0], "p", attempt)
    return [
        (EVENTS, TestStarted(**of, **which)),
        (RESULTS, final_record(head, machine="m1", status=status, seconds=1.0)),
        (EVENTS, TestFinished(**of, **which, status=status, seconds=1.0)),
    ]


def history_of(folder: Path, *lines: Line) -> History:
    writer = Writer()
    writer.hire(ready=True, fails=False)
    write(folder, [*writer.lines, *lines])
    return read_history(folder, INFO)


def test_what_a_stop_cancelled_does_not_count(tmp_path: Path) -> None:
    stop = (EVENTS, RunStopping(reason="enough"))
    past = history_of(tmp_path, *ended("fail"), stop, *ended("infra", 2)).test("p", 1)
    assert ([event.attempt for event in past.finished], past.last) == ([1], 2)
    past = history_of(tmp_path, stop, *ended("pass")).test("p", 1)
    assert [event.attempt for event in past.finished] == [1]


def test_what_a_kill_left_without_a_verdict_does_not_count(tmp_path: Path) -> None:
    started, record, finished = ended("infra")
    resumed = (EVENTS, RunResumed(tests=6))
    past = history_of(tmp_path, started, resumed, record, finished).test("p", 1)
    assert (past.finished, past.last) == ([], 1)


@pytest.mark.parametrize("stops", [False, True])
def test_tests_that_were_given_up(tmp_path: Path, stops: bool) -> None:
    """For good, but where somebody stopped the run."""
    stop = [(EVENTS, RunStopping(reason="enough"))] if stops else []
    record = (RESULTS, unstarted_record(TESTS[1], "p", "infra", "no machine"))
    history = history_of(tmp_path, *stop, record)
    assert history.test("p", 2).given_up is not stops
    (event,) = history.unsaid
    assert isinstance(event, TestsGivenUp)
    assert (event.serials, event.reason) == ((2,), "no machine")


def test_a_record_that_a_power_cut_took(tmp_path: Path) -> None:
    """The events that are left say that the test ended; it did not."""
    started, _, finished = ended("pass")
    history = history_of(tmp_path, started, finished)
    assert list(history.unfinished) == [("p", 1, 1)]
    assert history.test("p", 1).finished == []
