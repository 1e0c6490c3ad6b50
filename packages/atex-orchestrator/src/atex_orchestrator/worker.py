"""One machine, from the request to the release, in a thread of its own.

Guarantees: each event is put in the queue by the worker's thread, or while it reserves by the provisioner's;
MachineReleased is the last one and always comes unless the thread hangs in somebody else's code; whoever stops a worker
never waits for a machine (holdings.py).

This code assumes that the calls it makes end by themselves: reserving within the provisioner's own limits, all others
within the executor's.
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

import msgspec
from atex_executor import (
    Executor,
    ExecutorError,
    MachineBusy,
    MachineLost,
    OpenAttempt,
    Pack,
    PackFailed,
    PhaseFailed,
    RunOutcome,
    SinkError,
)
from atex_fmf import Suite, Test
from atex_provision import Machine, Platform, Provisioner, ProvisionError

from atex_orchestrator.attempts import Attempts
from atex_orchestrator.events import (
    During,
    MachineExpired,
    MachineNotKept,
    MachineReady,
    MachineReleased,
    MachineReserved,
    TestFinished,
)
from atex_orchestrator.heritage import Heritage
from atex_orchestrator.holdings import Holdings, Stopped
from atex_orchestrator.reporter import Reporter, in_a_line
from atex_orchestrator.results import FinalRecord
from atex_orchestrator.sessions import note_session
from atex_orchestrator.settings import Shared

_log = logging.getLogger(__name__)

BEFORE_PREPARE = ("reserve", "start")
BEFORE_TESTS = (*BEFORE_PREPARE, "prepare")


class _Run(msgspec.Struct, frozen=True):
    test: Test
    attempt: int


class _Keep(msgspec.Struct, frozen=True):
    """The machine as it is."""


_Order = _Run | _Keep


class Worker:
    """Gets a machine ready, runs on it what it is told, and gives it back.

    The orchestrator's owner thread calls the public methods, which do not wait, but for abandon() and join().
    """

    def __init__(
        self,
        number: int,
        *,
        platform: Platform,
        suite: Suite,
        pack: Pack,
        factory: Callable[[], Provisioner],
        shared: Shared,
        heritage: Heritage | None = None,
    ) -> None:
        """Take what it needs, and do nothing yet.

        `heritage`: goes on with a machine that is ready, and was a killed process'; `factory` has adopted its lease.
        """
        self.number = number
        self.platform = platform.name
        self._kind = platform
        self.error: Exception | None = None
        """What broke the worker itself: not a machine and not a test. Set before the event that follows from it."""
        self._suite = suite
        self._pack = pack
        self._factory = factory
        self._settings = shared.settings
        self._sink = shared.sink
        self._write, self._emit = shared.write, shared.emit
        self.borrowed: Machine | None = None
        """The machine, from MachineReserved on."""
        self._reporter = Reporter(number, platform.name, shared.emit)
        self._attempts = Attempts(number, platform.name, shared, broken=self._break)
        self._register = shared.register
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()  # None: no more
        self._during: During = "reserve" if heritage is None else "resume"
        self._heritage = heritage
        self._left = None if heritage is None else heritage.left  # until it is closed
        self._trouble = ""  # why the machine failed last
        self._kept = False
        self._given_name = ""  # what its provisioner calls the machine
        self._reachable = True
        self._holdings = Holdings(f"worker-{number}")
        self._to_finish: Executor | None = None  # where prepare was begun
        if heritage is not None:
            self._reporter.machine = heritage.machine
        self._thread = threading.Thread(target=self._main, name=f"worker-{number}", daemon=True)

    @property
    def machine(self) -> str | None:
        """The name of the machine, once there is one; no other of the run has it."""
        return self._reporter.machine

    @property
    def during(self) -> During:
        """What it does at this moment."""
        return self._during

    @property
    def record(self) -> FinalRecord | None:
        """How the last test ended, from its TestFinished on until the next one is run."""
        return self._attempts.record

    def start(self) -> None:
        """Set out to get a machine."""
        self._thread.start()

    def run(self, test: Test, attempt: int) -> None:
        """Run a test; the machine must be ready and free."""
        self._orders.put(_Run(test, attempt))

    def release(self) -> None:
        """No test is left: finish and give the machine back, or stop getting one."""
        if self._during in BEFORE_TESTS:
            self._holdings.stop("no test is left for this machine", hurry=False)
        self._orders.put(None)

    def keep(self) -> None:
        """Leave the machine as it is, and reserved; its test must have ended. Where that is not possible it is free."""
        self._orders.put(_Keep())

    def cancel(self, test: Test, attempt: int, reason: str) -> None:
        """End this attempt, which was ordered and has not ended; then the machine is free."""
        self._holdings.cancel_run(test, attempt, reason)

    def dismiss(self, reason: str) -> None:
        """Cancel the test and take no other; then finish, for as long as that takes, and give the machine back."""
        self._holdings.stop(reason, hurry=False)
        self._orders.put(None)

    def stop(self, reason: str, *, at_once: bool = False) -> None:
        """The same, with a minute for finish; or, at once, without."""
        self._holdings.stop(reason, hurry=True, at_once=at_once)
        self._orders.put(None)

    def abandon(self) -> None:
        """Free the machine's lease without waiting for the worker, which hangs. For any thread."""
        self._holdings.abandon()

    @property
    def held(self) -> str | None:
        """After abandon(): why the machine may still be held; None: it is not."""
        return self._holdings.held

    def join(self, timeout: float) -> None:
        """Wait for the end of the worker's threads, so many seconds at most."""
        deadline = time.monotonic() + timeout
        self._holdings.join(timeout)
        self._thread.join(max(0.0, deadline - time.monotonic()))

    # Everything below runs in the worker's own thread.

    def _main(self) -> None:
        left = held = None
        try:
            self._guarded(self._serve)
            self._guarded(self._close_left)
            self._guarded(self._finish)
            left = self._holdings.give_back()
            held = self._holdings.held
        except Exception as error:
            _log.exception("worker %d broke", self.number)
            self.error = error
        finally:
            _log.info("%s is released", self.machine or "the reservation")
            self._reporter.say(MachineReleased, left=left, held=held)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Do a step; what goes wrong is said, and is the machine's doing unless it is no error of ours."""
        try:
            step()
        except Stopped:
            pass
        except (SinkError, PackFailed) as error:
            self._break(error)
        except (MachineLost, ProvisionError, TimeoutError) as error:
            self._reachable = False
            self._failed(error)
        except ExecutorError as error:
            self._failed(error)
        except Exception as error:
            _log.exception("worker %d broke", self.number)
            self._break(error)

    def _serve(self) -> None:
        provisioner = self._holdings.hold_provisioner(self._factory())
        provisioner.on_progress = self._reporter.coming
        provisioner.platform = self._kind
        machine = provisioner.reserve()
        machine.platform = self._kind
        if self._heritage is not None:
            executor = self._take_over(provisioner, machine, self._heritage)
        elif self._register.gave_up(self.platform, machine.name):
            _log.info("%s failed before: there is no other machine", machine.name)
            return
        else:
            executor = self._make_ready(provisioner, machine)
        self._during = "test"
        _log.info("%s is ready", self.machine)
        self._reporter.say(MachineReady, session=executor.session, lease_end=machine.lease_end)
        if self._left is not None:
            self._resume_test(machine, executor, *self._left)
        while self._reachable and not self._kept and (order := self._orders.get()):
            if isinstance(order, _Run):
                self._run_test(machine, executor, order)
            else:
                self._keep(provisioner)

    def _make_ready(self, provisioner: Provisioner, machine: Machine) -> Executor:
        self._given_name = machine.name
        name = machine.name = self._reporter.machine = self._register.claim(machine.name)
        self.borrowed = machine
        _log.info("%s is reserved for platform %s: %s", name, self.platform, machine.facts)
        self._reporter.say(MachineReserved, facts=machine.facts, lease=machine.lease)
        executor = self._holdings.hold_executor(self._new_executor(machine, name))
        self._during = "start"
        note_session(provisioner, machine, executor, become=self._settings.become)
        executor.start()
        if not machine.prepared:
            self._prepare(executor)
        return executor

    def _take_over(
        self, provisioner: Provisioner, machine: Machine, heritage: Heritage
    ) -> Executor:
        """Attach to the agent that runs there; what it tells is heard when the test is resumed."""
        machine.name = heritage.machine
        machine.marks.update(heritage.marks)
        self.borrowed = machine
        executor = self._new_executor(machine, machine.name, session=heritage.session)
        self._holdings.hold_executor(executor)
        note_session(provisioner, machine, executor, become=self._settings.become)
        executor.start()
        if not machine.prepared:
            self._to_finish = executor
        return executor

    def _prepare(self, executor: Executor) -> None:
        self._to_finish = executor
        self._during = "prepare"
        for error in executor.prepare(self._sink):
            self._reporter.incomplete(error)

    def _new_executor(self, machine: Machine, name: str, session: str | None = None) -> Executor:
        return Executor(
            machine.connection,
            self._suite,
            platform=self.platform,
            machine=name,
            environment=self._settings.environment,
            secrets=self._settings.secrets,
            grace=self._settings.grace,
            session=session,
            times=self._settings.times,
            slot=machine.slot,
            take_over=self._settings.take_over,
            become=self._settings.become,
            on_mark=partial(self._mark, machine),
            on_addtest=self._attempts.add,
            on_busy=self._reporter.occupied,
            python=machine.python,
            pack=self._pack,
        )

    def _run_test(self, machine: Machine, executor: Executor, order: _Run) -> None:
        outcome = self._attempts.run(machine, executor, order.test, order.attempt)
        self._tested(machine, order.test, order.attempt, outcome)

    def _resume_test(
        self, machine: Machine, executor: Executor, test: Test, left: OpenAttempt
    ) -> None:
        outcome = self._attempts.resume(executor, test, left)
        self._left = None
        self._tested(machine, test, left.begun.attempt, outcome)

    def _close_left(self) -> None:
        """The machine can not be had any more: what ran there has no verdict."""
        if self._left is None:
            return
        test, left = self._left
        note = f"atex was killed while it ran, and {self.machine} is lost: {self._trouble}"
        record = self._attempts.close(test, left, note)
        self._left = None
        self._reporter.say(
            TestFinished,
            test=test.name,
            serial=test.serial,
            attempt=left.begun.attempt,
            status=record.status,
            seconds=record.seconds or 0.0,
            note=record.note,
        )

    def _mark(self, machine: Machine, name: str, value: str) -> None:
        """A test or a phase marks the machine; it goes on when that is written down. In a thread of the executor's."""
        machine.marks[name] = value
        event = self._reporter.marked(name, value)
        try:
            self._write(event)
        except OSError as error:
            self._break(SinkError(f"a mark can not be noted: {error.strerror}"))
        else:
            self._emit(event)

    def _tested(self, machine: Machine, test: Test, attempt: int, outcome: RunOutcome) -> None:
        if outcome.sink_error is not None:
            self._break(outcome.sink_error)
        elif machine.lease_end is not None and time.time() >= machine.lease_end:
            self._reachable = not outcome.machine_lost
            self._reporter.say(MachineExpired)
        elif not outcome.machine_usable:
            self._reachable = not outcome.machine_lost
            self._failed(outcome.note or "the machine is out of use")
        self._reporter.say(
            TestFinished,
            test=test.name,
            serial=test.serial,
            attempt=attempt,
            status=outcome.status,
            seconds=round(outcome.seconds, 3),
            exit_code=outcome.exit_code,
            note=outcome.note,
            agent_died=outcome.agent_died,
            unstarted=not outcome.started,
        )

    def _keep(self, provisioner: Provisioner) -> None:
        """First the lease, while somebody can still run finish there; then the agent's session is ended."""
        self._during = "keep"
        try:
            lease = provisioner.keep(prepared=True)
        except ProvisionError as error:
            self._during = "test"
            self._reporter.say(MachineNotKept, reason=in_a_line(error))
            return
        self._kept = True
        self._holdings.close_session()
        # Otherwise it is borrowed from a process that lives, whose user knows how to get in.
        if lease.kept and self._attempts.test is not None:
            self._reporter.kept(lease, self._attempts.test.name)

    def _finish(self) -> None:
        """Run the plan's finish where its prepare was begun and somebody can still be told to."""
        if self._to_finish is None or not self._reachable or self._kept:
            return
        limit = self._holdings.begin_finish()
        if limit is not None:
            self._during = "finish"
            self._to_finish.finish(self._sink, limit=limit)

    def _break(self, error: Exception) -> None:
        """Stop the run for what is no machine's doing. Any thread."""
        self.error = error
        self._failed(error)

    def _failed(self, error: Exception | str) -> None:
        """Say that the machine failed, unless it did not get far because it was stopped."""
        self._trouble = in_a_line(error)
        _log.info("%s failed: %s", self._during, self._trouble)
        if self._during in BEFORE_TESTS:
            if self._holdings.stopped:
                return
            if self.machine is not None and _comes_again(error):
                self._register.give_up(self.platform, self._given_name)
        self._reporter.failed(self._during, error)


def _comes_again(error: Exception | str) -> bool:
    """Whether what failed on a machine before its tests would do so there again: not where it was lost, or not free."""
    if isinstance(error, PhaseFailed):
        return error.status != "infra"
    return not isinstance(error, MachineLost | MachineBusy | ProvisionError)
