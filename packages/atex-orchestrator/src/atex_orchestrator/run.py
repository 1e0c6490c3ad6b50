"""One run, from the first machine asked for to the last record.

Guarantees: all state is owned by the thread that calls execute(); workers only put events in the inbox. Whatever
happens short of a kill -9 (a machine that hangs, a full disk, a bug), every wait ends, and every test has a final
record where one can be written.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from queue import Empty, SimpleQueue

from atex_executor import FolderSink, SinkError
from atex_provision import Holder

from atex_orchestrator.added_tests import AddedTests
from atex_orchestrator.anywhere import joined
from atex_orchestrator.asked import Asked
from atex_orchestrator.books import close_books
from atex_orchestrator.chronicle import Chronicle
from atex_orchestrator.crew import Crew
from atex_orchestrator.differences import Differences
from atex_orchestrator.events import (
    Event,
    MachineFailed,
    MachineFreed,
    MachineMarked,
    MachineReleased,
    MachineReserved,
    OfWorker,
    RunEnded,
    RunStarted,
    RunStopping,
    TestAborted,
    TestAdded,
    TestFinished,
)
from atex_orchestrator.faults import Faults
from atex_orchestrator.heritage import Heritage
from atex_orchestrator.hooks import hooks_of
from atex_orchestrator.listeners import Listeners
from atex_orchestrator.register import Register
from atex_orchestrator.requests import Abort, AbortMachine, AbortTest, Request, StillHeld
from atex_orchestrator.results import ANY, FinalRecord, RunFolder, find_final
from atex_orchestrator.resumption import Resumption
from atex_orchestrator.scheduling import (
    Decision,
    GiveUp,
    Keep,
    Pool,
    Release,
    Reserve,
    Run,
    Scheduler,
)
from atex_orchestrator.settings import Shared
from atex_orchestrator.summary import Summary
from atex_orchestrator.unstarted import Unstarted
from atex_orchestrator.worker import Worker

_log = logging.getLogger(__name__)

# Seconds: SIGINT and SIGKILL of the tests, 60 for finish, the ways there and back.
STOP_LIMIT = 80.0
AT_ONCE_LIMIT = 5.0  # seconds for those who are told to leave at once
AGAIN_LIMIT = 60.0  # seconds for giving back what could not be given back before
WITHOUT_DURATION = ("infra", "skip")  # statuses


class PoolRun:
    """Carries out what the scheduler decides, until every test has its record."""

    def __init__(
        self,
        folder: RunFolder,
        asked: Asked,
        inbox: "SimpleQueue[Event | Request | StillHeld]",
        listeners: Listeners,
        *,
        past: Resumption | None = None,
    ) -> None:
        """Do what is `asked`, with results in `folder`; `past`: what another process left of it.

        Raises SinkError where the folder takes no results, and OSError.
        """
        self._folder = folder
        self._asked = asked
        self._suites = {name: joined(suite, asked.anywhere) for name, suite in asked.suites.items()}
        self._inbox = inbox
        self._faults = Faults(inbox.put)
        self._chronicle = Chronicle(folder, listeners, self._faults)
        kinds = {platform.name: platform.kind for platform in folder.info.platforms}
        self._differences = Differences(kinds.values())
        self._added = AddedTests(folder, self._suites)
        self._past = past
        if past is not None:
            past.take_added(self._added, self._chronicle)
        self._sink = FolderSink(folder.path)
        self._unstarted = Unstarted(self._sink, self._chronicle, asked.policy, self._faults)
        shared = Shared(
            settings=asked.settings,
            policy=asked.policy,
            sink=self._sink,
            register=Register(past.history.names if past else ()),
            added=self._added,
            final=partial(find_final, folder.path),
            write=folder.append,
            emit=inbox.put,
        )
        self._crew = Crew(asked, self._suites, kinds, shared, self._chronicle)
        self._scheduler = Scheduler(
            {name: (*suite.tests, *self._added.of(name)) for name, suite in asked.suites.items()},
            [Pool(pool.platform, pool.size) for pool in asked.pools],
            rules=asked.rules,
            hooks=hooks_of(asked.policy, self._crew.workers),
            anywhere=asked.anywhere,
            rank=asked.rank,
            workers=past.history.workers if past else 0,
        )
        asked.policy.count_by(self._failures_before)
        self._stopping: Abort | None = None
        self._deadline: float | None = None  # of those told to stop, by time.monotonic()

    def execute(self) -> Summary:
        """Run all tests; return what became of them.

        Raises, when all is settled: what a listener raised, what a bug raised, KeyboardInterrupt. At once, with all as
        another process left it: what keeps that from being taken up, FolderInUse for instance.
        """
        heirs = self._take_up()
        self._guarded(lambda: self._begin(heirs))
        while self._crew.workers or not (self._stopping or self._scheduler.done):
            self._guarded(self._step)
        self._guarded(self._give_back_again)
        for released in self._crew.free_machines():
            self._chronicle.tell(released)
        left_open = self._crew.left_open()
        if self._past is not None:
            self._close_rest(self._past)  # unless that was done
            self._past.end(self._chronicle)
            left_open += self._past.left_open()
        self._crew.join()
        stopped = self._stopping.reason if self._stopping else None
        try:
            self._sink.close()
        except SinkError as error:
            stopped = stopped or str(error)
        self._chronicle.tell(RunEnded(reason=stopped))
        tests = {
            name: (*suite.tests, *self._added.of(name))
            for name, suite in self._asked.suites.items()
        }
        summary = close_books(
            self._folder,
            {**tests, ANY: self._asked.anywhere},
            stopped,
            left_open,
            self._unstarted.hand_out,
        )
        if self._faults.broken is not None:
            raise self._faults.broken
        return summary

    def _take_up(self) -> list[Heritage]:
        """Return the machines that are taken over from another process."""
        if self._past is None:
            return []
        try:
            self._past.restore(self._scheduler)
            return self._past.begin(self._chronicle)
        except BaseException:
            with contextlib.suppress(SinkError):
                self._sink.close()
            raise

    def _begin(self, heirs: Sequence[Heritage]) -> None:
        for heir in heirs:  # before anything can go wrong: their machines are ours
            running = None if heir.left is None else (heir.left[0], heir.left[1].begun.attempt)
            self._scheduler.adopt(heir.worker, heir.pool, running)
            self._crew.take_over(heir)
        if self._past is None:
            tests = sum(1 for _ in self._folder.info.tests())
            self._chronicle.tell(RunStarted(tests=tests, holder=Holder.myself()))
        else:
            self._close_rest(self._past)
        for platform, suite in self._suites.items():
            if suite.tests:
                self._asked.packs[platform].start()  # while machines are being reserved
        self._carry_out(self._scheduler.start(time.time()))

    def _close_rest(self, past: Resumption) -> None:
        past.close_rest(self._sink, self._chronicle, self._unstarted, self._faults)

    def _step(self) -> None:
        """Take one message, or find that the time is up."""
        remaining = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        try:
            message = self._inbox.get(timeout=remaining)
        except Empty:
            self._time_is_up()
            return
        match message:
            case Abort():
                self._stop(message)
            case AbortMachine():
                self._abort_machine(message)
            case AbortTest():
                self._abort_test(message)
            case StillHeld():  # comes later
                pass
            case _:
                self._take(message)

    def _give_back_again(self) -> None:
        """Try to free what could not be given back: a host that was away may be there again. Whoever stops the run ends
        the waiting for that.
        """
        if self._stopping is not None:
            return
        holding = self._crew.give_back_again(self._inbox.put)
        deadline = time.monotonic() + AGAIN_LIMIT
        while holding and self._stopping is None:
            try:
                message = self._inbox.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                return
            match message:
                case MachineFreed(worker=number):
                    self._chronicle.tell(message)
                    holding.discard(number)
                case StillHeld(worker=number):
                    holding.discard(number)
                case Abort():
                    self._stop(message)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except KeyboardInterrupt as error:  # of a script that has no handler for SIGINT
            self._faults.broken = self._faults.broken or error
            self._stop(Abort("interrupted", at_once=self._stopping is not None))
        except BaseException as error:  # whatever a user's method raises: workers are waited for
            self._faults.report(error)

    def _carry_out(self, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Reserve(worker=number, pool=index):
                    self._crew.hire(number, index)
                case Run(worker=number, test=test, attempt=attempt):
                    self._crew.start_test(number, test, attempt)
                case Release(worker=number):
                    self._crew.let_go(number)
                case Keep(worker=number):
                    self._crew.keep(number)
                case GiveUp():
                    self._unstarted.give_up(decision)

    def _take(self, event: Event) -> None:
        """Let what a worker says have its effects: in the folder, then on what happens next."""
        if not isinstance(event, OfWorker):
            return
        worker = self._crew.workers.get(event.worker)
        if worker is None:
            return  # of one whose time was up
        self._note(worker, event)
        if worker.error is not None and isinstance(
            event, MachineFailed | TestFinished | MachineReleased
        ):
            self._stop(self._faults.abort_for(worker.error))  # before another machine is asked for
        if isinstance(event, TestAdded):
            test = self._added.test(event.platform, event.serial)
            self._carry_out(self._scheduler.add(event.platform, test, time.time()))
        else:
            self._carry_out(self._scheduler.handle(event, time.time()))
        if isinstance(event, TestFinished):
            self._learn(event)  # when the machine has its next test: it need not wait for a disk

    def _note(self, worker: Worker, event: Event) -> None:
        """Write down what a worker says, with what is to be said besides."""
        if isinstance(event, TestFinished):
            self._crew.running.pop(worker.number, None)
        if isinstance(event, MachineReleased):
            left = self._crew.ended(worker.number)
            if left is not None:
                self._unstarted.not_taken(left, event)
        if isinstance(event, TestAdded | MachineMarked):
            self._chronicle.hand_on(event)  # it was written down at once
        else:
            self._chronicle.tell(event)
        if isinstance(event, MachineReserved):
            for difference in self._differences.of(event):
                self._chronicle.tell(difference)

    def _failures_before(self, record: FinalRecord) -> int:
        key = self._folder.info.key(record.platform, record.serial)
        return self._scheduler.tries(*key).failures

    def _learn(self, event: TestFinished) -> None:
        """Remember how long a test takes that came to a verdict."""
        if event.status not in WITHOUT_DURATION:
            platform, _ = self._folder.info.key(event.platform, event.serial)
            self._asked.durations.learn(platform, event.test, event.seconds)

    def _abort_machine(self, request: AbortMachine) -> None:
        number = self._crew.dismiss(request.machine, request.reason)
        if number is None:
            _log.info("%s is not in use, and not aborted", request.machine)
        else:
            self._carry_out(self._scheduler.dismiss(number, time.time()))

    def _abort_test(self, request: AbortTest) -> None:
        """End what runs of a test, and start no further attempt."""
        info = self._folder.info
        key = info.key(request.platform, request.serial)
        try:
            self._scheduler.tries(*key)
        except KeyError:
            _log.info("platform %s has no test %d to abort", *key)
            return
        self._carry_out(self._scheduler.abandon(*key, request.reason, time.time()))
        self._chronicle.tell(TestAborted(platform=key[0], serial=key[1], reason=request.reason))
        self._crew.cancel(
            lambda running: info.key(running.platform, running.test.serial) == key, request.reason
        )

    def _stop(self, abort: Abort) -> None:
        """Start nothing more and end what runs; once stopping, only `at_once` makes a difference, and once."""
        first = self._stopping is None
        if self._stopping is not None:
            if self._stopping.at_once or not abort.at_once:
                return
            abort = Abort(self._stopping.reason, at_once=True)
        self._stopping = abort
        self._deadline = time.monotonic() + (AT_ONCE_LIMIT if abort.at_once else STOP_LIMIT)
        self._chronicle.tell(RunStopping(reason=abort.reason, at_once=abort.at_once))
        self._crew.stop(abort.reason, at_once=abort.at_once)
        if first:
            self._carry_out(self._scheduler.stop(abort.reason))

    def _time_is_up(self) -> None:
        """Press those who were told to stop; leave behind those who were pressed."""
        if self._stopping is not None and not self._stopping.at_once:
            self._stop(Abort(self._stopping.reason, at_once=True))
            return
        self._crew.leave_behind()
