"""One run, from the first machine asked for to the last record.

Guarantees: all state is owned by the thread that calls execute(); workers only put events in the inbox. Whatever
happens short of a kill -9 (a machine that hangs, a full disk, a bug), every wait ends, and every test has a final
record where one can be written.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from queue import Empty, SimpleQueue

import msgspec
from atex_executor import FolderSink, Pack, PackFailed, SinkError, unstarted_record
from atex_fmf import Suite, Test
from atex_provision import Holder, Provisioner

from atex_orchestrator.anywhere import joined
from atex_orchestrator.books import close_books
from atex_orchestrator.differences import Differences
from atex_orchestrator.events import (
    Event,
    MachineFailed,
    MachineLeaving,
    MachineReleased,
    MachineRequested,
    MachineReserved,
    OfWorker,
    RunEnded,
    RunStarted,
    RunStopping,
    TestFinished,
    TestsGivenUp,
    TestStarted,
)
from atex_orchestrator.listeners import Listeners
from atex_orchestrator.register import Register
from atex_orchestrator.results import ANY, RunFolder
from atex_orchestrator.scheduling import (
    Decision,
    GiveUp,
    Keep,
    Pool,
    Release,
    Reserve,
    Rules,
    Run,
    Scheduler,
)
from atex_orchestrator.settings import Settings
from atex_orchestrator.stragglers import Stragglers
from atex_orchestrator.summary import Summary
from atex_orchestrator.worker import Worker

_log = logging.getLogger(__name__)

# Seconds: SIGINT and SIGKILL of the tests, 60 for finish, the ways there and back.
STOP_LIMIT = 80.0
AT_ONCE_LIMIT = 5.0  # seconds for those who are told to leave at once
JOIN_LIMIT = 5.0  # seconds for the threads of workers that said their last word


class Abort(msgspec.Struct, frozen=True):
    """Somebody wants the run to stop."""

    reason: str
    at_once: bool = False


class MachinePool(msgspec.Struct, frozen=True, kw_only=True):
    """Where machines come from."""

    platform: str
    name: str
    factory: Callable[[], Provisioner]
    size: int


class PoolRun:
    """Carries out what the scheduler decides, until every test has its record."""

    def __init__(
        self,
        folder: RunFolder,
        suites: Mapping[str, Suite],
        anywhere: Sequence[Test],
        packs: Mapping[str, Pack],
        pools: Sequence[MachinePool],
        settings: Settings,
        inbox: "SimpleQueue[Event | Abort]",
        listeners: Listeners,
    ) -> None:
        self._folder = folder
        self._tests = {name: suite.tests for name, suite in suites.items()}
        self._anywhere = tuple(anywhere)
        self._suites = {name: joined(suite, anywhere) for name, suite in suites.items()}
        self._packs = packs
        self._pools = pools
        self._settings = settings
        self._inbox = inbox
        self._listeners = listeners
        self._scheduler = Scheduler(
            self._tests,
            [Pool(pool.platform, pool.size) for pool in pools],
            rules=Rules(hold_failed=settings.hold_failed),
        )
        self._kinds = {platform.name: platform.kind for platform in folder.info.platforms}
        self._differences = Differences(self._kinds.values())
        self._sink = FolderSink(folder.path)
        self._register = Register()
        self._workers: dict[int, Worker] = {}  # those that have not ended
        self._ended: list[Worker] = []
        self._stragglers = Stragglers()
        self._running: dict[int, Test] = {}  # by worker
        self._stopping: Abort | None = None
        self._deadline: float | None = None  # of those told to stop, by time.monotonic()
        self._broken: BaseException | None = None

    def execute(self) -> Summary:
        """Run all tests; return what became of them.

        Raises, when all is settled: what a listener raised, what a bug raised, KeyboardInterrupt.
        """
        self._guarded(self._begin)
        while self._workers or not (self._stopping or self._scheduler.done):
            self._guarded(self._step)
        for released in self._stragglers.free_machines():
            self._tell(released)
        self._join()
        stopped = self._stopping.reason if self._stopping else None
        try:
            self._sink.close()
        except SinkError as error:
            stopped = stopped or str(error)
        self._tell(RunEnded(reason=stopped))
        summary = close_books(
            self._folder,
            {**self._tests, ANY: self._anywhere},
            stopped,
            self._stragglers.unanswered(self._running),
        )
        if self._broken is not None:
            raise self._broken
        return summary

    def _begin(self) -> None:
        tests = sum(1 for _ in self._folder.info.tests())
        self._tell(RunStarted(tests=tests, holder=Holder.myself()))
        for platform, suite in self._suites.items():
            if suite.tests:
                self._packs[platform].start()  # while machines are being reserved
        self._carry_out(self._scheduler.start(time.time()))

    def _step(self) -> None:
        """Take one message, or find that the time is up."""
        remaining = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        try:
            message = self._inbox.get(timeout=remaining)
        except Empty:
            self._time_is_up()
            return
        if isinstance(message, Abort):
            self._stop(message)
        else:
            self._take(message)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except KeyboardInterrupt as error:  # of a script that has no handler for SIGINT
            self._broken = self._broken or error
            self._stop(Abort("interrupted", at_once=self._stopping is not None))
        except Exception as error:
            self._break(error)

    def _carry_out(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Reserve(worker=number, pool=index):
                    self._hire(number, self._pools[index])
                case Run(worker=number, test=test, attempt=attempt):
                    self._start_test(self._workers[number], test, attempt)
                case Release(worker=number) if number in self._workers:
                    self._let_go(self._workers[number])
                case Keep(worker=number) if number in self._workers:
                    self._workers[number].keep()
                case GiveUp():
                    self._give_up(decision)

    def _hire(self, number: int, pool: MachinePool) -> None:
        worker = Worker(
            number,
            platform=self._kinds[pool.platform],
            suite=self._suites[pool.platform],
            pack=self._packs[pool.platform],
            factory=pool.factory,
            settings=self._settings,
            sink=self._sink,
            emit=self._inbox.put,
            register=self._register,
        )
        self._workers[number] = worker
        worker.start()
        self._tell(MachineRequested(worker=number, platform=pool.platform, pool=pool.name))

    def _start_test(self, worker: Worker, test: Test, attempt: int) -> None:
        self._running[worker.number] = test
        self._tell(
            TestStarted(
                worker=worker.number,
                platform=worker.platform,
                machine=worker.machine or "",
                test=test.name,
                serial=test.serial,
                attempt=attempt,
            )
        )
        worker.run(test, attempt)

    def _let_go(self, worker: Worker) -> None:
        if (
            worker.machine is not None
        ):  # who goes on after a kill must not run tests where finish began
            self._tell(
                MachineLeaving(
                    worker=worker.number, platform=worker.platform, machine=worker.machine
                )
            )
        worker.release()

    def _give_up(self, decision: GiveUp) -> None:
        platform, status, reason = decision.platform, decision.status, decision.reason
        try:
            self._sink.records(
                [unstarted_record(test, platform, status, reason) for test in decision.tests]
            )
        except SinkError as error:
            self._break(error)
        serials = tuple(test.serial for test in decision.tests)
        self._tell(TestsGivenUp(platform=platform, serials=serials, reason=reason, status=status))

    def _take(self, event: Event) -> None:
        """Let what a worker says have its effects: in the folder, then on what happens next."""
        worker = self._workers.get(event.worker) if isinstance(event, OfWorker) else None
        if worker is None:
            return  # of one whose time was up
        if isinstance(event, TestFinished):
            self._running.pop(worker.number, None)
        if isinstance(event, MachineReleased):
            self._ended.append(self._workers.pop(worker.number))
        self._tell(event)
        if isinstance(event, MachineReserved):
            for difference in self._differences.of(event):
                self._tell(difference)
        if worker.error is not None and isinstance(
            event, MachineFailed | TestFinished | MachineReleased
        ):
            self._stop(self._fault(worker.error))  # before another machine is asked for
        self._carry_out(self._scheduler.handle(event, time.time()))

    def _stop(self, abort: Abort) -> None:
        """Start nothing more and end what runs; once stopping, only `at_once` makes a difference, and once."""
        first = self._stopping is None
        if self._stopping is not None:
            if self._stopping.at_once or not abort.at_once:
                return
            abort = Abort(self._stopping.reason, at_once=True)
        self._stopping = abort
        self._deadline = time.monotonic() + (AT_ONCE_LIMIT if abort.at_once else STOP_LIMIT)
        self._tell(RunStopping(reason=abort.reason, at_once=abort.at_once))
        for worker in self._workers.values():
            worker.stop(abort.reason, at_once=abort.at_once)
        if first:
            self._carry_out(self._scheduler.stop(abort.reason))

    def _time_is_up(self) -> None:
        """Press those who were told to stop; leave behind those who were pressed."""
        if self._stopping is not None and not self._stopping.at_once:
            self._stop(Abort(self._stopping.reason, at_once=True))
            return
        self._stragglers.take(self._workers.values())
        self._workers.clear()

    def _join(self) -> None:
        deadline = time.monotonic() + JOIN_LIMIT
        for worker in self._ended:
            worker.join(deadline - time.monotonic())

    def _tell(self, event: Event) -> None:
        """Write an event down and hand it on; what goes wrong there is not raised, but stops the run."""
        _log.debug("%s", event)
        try:
            self._folder.append(event)
        except OSError as error:
            self._break(error)
        try:
            self._listeners.tell(event)
        except Exception as error:
            self._broken = self._broken or error
            self._inbox.put(Abort(f"the listener of events broke: {error}"))

    def _break(self, error: Exception) -> None:
        """Stop the run for a fault of the host, when what is going on is done."""
        self._inbox.put(self._fault(error))

    def _fault(self, error: Exception) -> Abort:
        """Return what stops the run for something that is neither a test's nor a machine's doing."""
        if isinstance(error, PackFailed):
            return Abort(str(error))
        if isinstance(error, OSError | SinkError):
            reason = error.strerror if isinstance(error, OSError) else error
            return Abort(f"the run folder can not be written: {reason}")
        if error is not self._broken:  # a worker says it more than once
            _log.error("the run broke", exc_info=error)
        self._broken = self._broken or error
        return Abort(f"atex broke: {type(error).__name__}: {error}")
