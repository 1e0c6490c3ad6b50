"""What a run folder says of a run that is to go on: what became of its tests, and which machines it had.

Pure, and read as streams; what is kept grows with tests and machines, not with results. A process may have been killed
between any two lines: what one file says and another does not know yet is here as `unsaid`, to be said before anything
else. After a power cut lines may be missing in any of the files; an attempt counts where its final record is there.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

import msgspec
from atex_executor import OpenAttempt, read_journal
from atex_provision import Holder

from atex_orchestrator.events import (
    Event,
    MachineExpired,
    MachineFailed,
    MachineFreed,
    MachineKept,
    MachineLeaving,
    MachineMarked,
    MachineReady,
    MachineReleased,
    MachineRequested,
    MachineReserved,
    OfWorker,
    RunResumed,
    RunStarted,
    RunStopping,
    TestAborted,
    TestAdded,
    TestFinished,
    TestsGivenUp,
    TestStarted,
)
from atex_orchestrator.results import FinalRecord, RunInfo, read_events, read_finals

AttemptId = tuple[str, int, int]
"""Platform where it ran, serial, number."""
Key = tuple[str, int]
"""Of a test: its platform, or ANY, and its serial."""


class PastMachine(msgspec.Struct, kw_only=True):
    """A machine that was not given back, as far as it is known."""

    worker: int
    platform: str
    pool: str
    machine: str | None = None
    """Its name in the run."""
    lease: str = ""
    session: str = ""
    """Of its agent; empty until the machine was ready."""
    marks: dict[str, str] = {}
    usable: bool = True
    """Whether nothing said that it takes no more tests."""
    kept: bool = False
    running: AttemptId | None = None
    test: str = ""
    """The last one that was started there."""


class PastTest(msgspec.Struct):
    """What became of a test so far."""

    last: int = 0
    """The number of its last attempt."""
    finished: list[TestFinished] = []
    """Its attempts, in their order, without those that the end of a process left without a verdict."""
    given_up: bool = False
    """Whether no attempt will follow, by a decision that no stop of the run was the reason for."""
    aborted: str | None = None
    """Why, where somebody aborted it."""


class Unfinished(msgspec.Struct, frozen=True):
    """An attempt without a final record."""

    test: str
    worker: int | None
    """Where it was started; None where the events that said so are lost."""
    left: OpenAttempt | None = None
    """What its journal says; None where it did not really begin."""


class History:
    """A run up to now."""

    def __init__(self, key: Callable[[str, int], Key]) -> None:
        """Know nothing; `key(platform, serial)` names a test that ran there."""
        self.holders: list[Holder] = []
        """The processes that have been at it."""
        self.workers = 0
        """So many so far."""
        self.names: set[str] = set()
        """Of all machines that there were."""
        self.machines: dict[int, PastMachine] = {}
        """By worker: those whose worker has not said its last word."""
        self.owed: dict[int, PastMachine] = {}
        """By worker: those that could not be given back."""
        self.tests: dict[Key, PastTest] = {}
        """Those that were tried or given up."""
        self.added: list[TestAdded] = []
        self.keeping: set[str] = set()
        """Platforms of which a machine is kept."""
        self.unfinished: dict[AttemptId, Unfinished] = {}
        self.unsaid: list[TestFinished | TestsGivenUp] = []
        """Events that are to follow from final records."""
        self._key = key
        self._finals: dict[AttemptId, FinalRecord] = {}  # that no event has spoken of
        self._stopping = False
        self._older: set[AttemptId] = set()  # unfinished ones of a process before the last

    @classmethod
    def of(
        cls,
        finals: Iterable[FinalRecord],
        events: Iterable[Event],
        left: Iterable[OpenAttempt],
        key: Callable[[str, int], Key],
    ) -> Self:
        """Return what these say."""
        history = cls(key)
        history._finals = {_id_of(record): record for record in finals}
        for event in events:
            history._take(event)
        for attempt in left:
            history._take_left(attempt)
        history._settle()
        return history

    def test(self, platform: str, serial: int) -> PastTest:
        """Return what became of a test that ran on this platform, or was to."""
        return self.tests.setdefault(self._key(platform, serial), PastTest())

    @property
    def verdicts(self) -> int:
        """How many tests have one."""
        return sum(
            bool(past.finished) and past.finished[-1].status != "infra"
            for past in self.tests.values()
        )

    def _take(self, event: Event) -> None:
        match event:
            case RunStarted() | RunResumed():
                self._stopping = False
                self._older = set(self.unfinished)
                self.holders += [] if event.holder is None else [event.holder]
            case RunStopping():
                self._stopping = True
                for machine in self.machines.values():
                    machine.usable = False
            case TestsGivenUp(platform=platform, serials=serials):
                for serial in serials:
                    self._give_up((platform, serial))
            case TestAborted(platform=platform, serial=serial, reason=reason):
                test = self.tests.setdefault((platform, serial), PastTest())
                test.given_up, test.aborted = True, reason
            case OfWorker():
                self._take_of_worker(event)

    def _take_of_worker(self, event: OfWorker) -> None:
        match event:
            case TestAdded():
                self.added.append(event)
            case TestFinished():
                self._finish(event)
            case MachineRequested(worker=worker, platform=platform, pool=pool):
                self.workers = max(self.workers, worker)
                self.machines[worker] = PastMachine(worker=worker, platform=platform, pool=pool)
            case MachineFreed(worker=worker):
                self.owed.pop(worker, None)
            case _ if event.worker in self.machines:
                self._take_of(self.machines[event.worker], event)

    def _take_of(self, machine: PastMachine, event: OfWorker) -> None:
        match event:
            case MachineReserved():
                machine.machine, machine.lease = event.machine, event.lease
                self.names.add(event.machine)
            case MachineReady(session=session):
                machine.session = session
            case MachineMarked(name=name, value=value):
                machine.marks[name] = value
            case TestStarted(platform=platform, serial=serial, attempt=attempt):
                machine.running, machine.test = (platform, serial, attempt), event.test
                self.unfinished[machine.running] = Unfinished(event.test, machine.worker)
            case MachineLeaving() | MachineFailed() | MachineExpired():
                machine.usable = False
            case MachineKept(platform=platform):
                machine.kept = True
                self.keeping.add(platform)
            case MachineReleased(worker=worker, held=held):
                del self.machines[worker]
                if held is not None:
                    self.owed[worker] = machine

    def _finish(self, event: TestFinished) -> None:
        """A test has ended; where its record was lost in a power cut, it has not."""
        attempt = event.platform, event.serial, event.attempt
        if self._finals.pop(attempt, None) is None:
            return
        self.unfinished.pop(attempt, None)
        if event.worker in self.machines:
            self.machines[event.worker].running = None
        test = self.test(event.platform, event.serial)
        test.last = max(test.last, event.attempt)
        if event.status != "infra" or not (self._stopping or attempt in self._older):
            test.finished.append(event)

    def _give_up(self, key: Key) -> None:
        """A test was never started."""
        self._finals.pop((*key, 1), None)
        test = self.tests.setdefault(key, PastTest())
        test.last = max(test.last, 1)
        test.given_up = test.aborted is not None or not self._stopping

    def _take_left(self, left: OpenAttempt) -> None:
        begun = left.begun
        attempt = begun.platform, begun.serial, begun.attempt
        known = self.unfinished.get(attempt)
        worker = None if known is None else known.worker
        self.unfinished[attempt] = Unfinished(begun.test, worker, left)

    def _settle(self) -> None:
        """All is read: say what follows from records that no event has spoken of."""
        for attempt, record in list(self._finals.items()):
            begun = self.unfinished.get(attempt)
            if begun is None and record.machine is None:
                event = TestsGivenUp(
                    platform=record.platform,
                    serials=(record.serial,),
                    reason=record.note or "",
                    status="skip" if record.status == "skip" else "infra",
                )
                self._give_up((record.platform, record.serial))
                self.unsaid.append(event)
            else:
                finished = self._finished(record, begun)
                self._finish(finished)
                if finished.worker:
                    self.unsaid.append(finished)
        for platform, serial, number in self.unfinished:
            test = self.test(platform, serial)
            test.last = max(test.last, number)

    def _finished(self, record: FinalRecord, begun: Unfinished | None) -> TestFinished:
        """Return what is to be said of an attempt that has this record."""
        worker = 0 if begun is None or begun.worker is None else begun.worker
        machine = self.machines[worker].machine if worker in self.machines else None
        return TestFinished(
            worker=worker,
            platform=record.platform,
            machine=machine or record.machine or "",
            test=record.test,
            serial=record.serial,
            attempt=record.attempt,
            status=record.status,
            seconds=record.seconds or 0.0,
            note=record.note,
            exit_code=record.exit_code,
            unstarted=record.machine is None,
        )


def read_history(folder: Path, info: RunInfo) -> History:
    """Return what the run folder says. Raises OSError."""
    return History.of(read_finals(folder), read_events(folder), read_journal(folder), info.key)


def _id_of(record: FinalRecord) -> AttemptId:
    return record.platform, record.serial, record.attempt
