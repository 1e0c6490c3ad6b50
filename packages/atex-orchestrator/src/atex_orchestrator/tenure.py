"""What happens with one machine, from the request to the release, in the order in which it happens.

Guarantees: each event is put in the queue by the worker's thread, while it reserves by the provisioner's, or where a
test asks for something by one of the executor's; MachineReleased is the last one and always comes unless the thread
hangs in somebody else's code.

This code assumes that the calls it makes end by themselves: reserving within the provisioner's own limits, all others
within the executor's.
"""

import logging
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

BEFORE_TESTS = ("reserve", "start", "prepare", "resume")


class RunTest(msgspec.Struct, frozen=True):
    """This attempt."""

    test: Test
    attempt: int


class KeepMachine(msgspec.Struct, frozen=True):
    """The machine as it is."""


Order = RunTest | KeepMachine


class Tenure:
    """One machine and its tests. A thread of its own calls see_through(); others may read what is public."""

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
        self.error: BaseException | None = None
        """What broke the worker itself: not a machine and not a test. Set before the event that follows from it."""
        self._suite = suite
        self._pack = pack
        self._factory = factory
        self._settings = shared.settings
        self._sink = shared.sink
        self.borrowed: Machine | None = None
        """The machine, from MachineReserved on."""
        self._reporter = Reporter(number, platform.name, shared.emit)
        self._attempts = Attempts(
            number,
            platform.name,
            shared,
            broken=self._break,
            left=None if heritage is None else heritage.left,
        )
        self._register = shared.register
        self.orders: SimpleQueue[Order | None] = SimpleQueue()  # None: no more
        self.during: During = "reserve" if heritage is None else "resume"
        self._heritage = heritage
        self._trouble = ""  # why the machine failed last
        self._remains: str | None = None  # why processes may be left there
        self._kept = False
        self._given_name = ""  # what its provisioner calls the machine
        self._reachable = True
        self.holdings = Holdings(f"worker-{number}")
        self._to_finish: Executor | None = None  # where prepare was begun
        if heritage is not None:
            self._reporter.machine = heritage.machine

    @property
    def machine(self) -> str | None:
        """The name of the machine, once there is one; no other of the run has it."""
        return self._reporter.machine

    @property
    def record(self) -> FinalRecord | None:
        """How the last test ended, from its TestFinished on until the next one is run."""
        return self._attempts.record

    def see_through(self) -> None:
        """Get the machine ready, run what is ordered, and give it back. Raises nothing."""
        for step in (self._serve, self._close_open, self._finish, self._give_back):
            self._guarded(step)
        _log.info("%s is released", self.machine or "the reservation")
        self._reporter.say(MachineReleased, left=self._remains, held=self.holdings.held)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Do a step; what goes wrong is said, and is the machine's doing unless it is no error of ours.

        Nothing goes through, also not what a user's method may raise to end a process: the machine is given back.
        """
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
        except BaseException as error:
            _log.exception("worker %d broke", self.number)
            self._break(error)

    def _serve(self) -> None:
        provisioner = self.holdings.hold_provisioner(self._factory())
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
        self.during = "test"
        _log.info("%s is ready", self.machine)
        self._reporter.say(MachineReady, session=executor.session, lease_end=machine.lease_end)
        self._go_on(machine, executor)
        while self._reachable and not self._kept and (order := self.orders.get()):
            if isinstance(order, RunTest):
                self._run_test(machine, executor, order)
            else:
                self._keep(provisioner)

    def _make_ready(self, provisioner: Provisioner, machine: Machine) -> Executor:
        self._given_name = machine.name
        name = machine.name = self._reporter.machine = self._register.claim(machine.name)
        self.borrowed = machine
        _log.info("%s is reserved for platform %s: %s", name, self.platform, machine.facts)
        self._reporter.say(MachineReserved, facts=machine.facts, lease=machine.lease)
        executor = self.holdings.hold_executor(self._new_executor(machine, name))
        self.during = "start"
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
        self.holdings.hold_executor(executor)
        note_session(provisioner, machine, executor, become=self._settings.become)
        executor.start()
        if not machine.prepared:
            self._to_finish = executor
        return executor

    def _prepare(self, executor: Executor) -> None:
        self._to_finish = executor
        self.during = "prepare"
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
            on_mark=partial(self._attempts.mark, machine),
            on_addtest=self._attempts.add,
            on_busy=self._reporter.occupied,
            python=machine.python,
            pack=self._pack,
        )

    def _run_test(self, machine: Machine, executor: Executor, order: RunTest) -> None:
        outcome = self._attempts.run(machine, executor, order.test, order.attempt)
        self._tested(machine, order.test, outcome)

    def _go_on(self, machine: Machine, executor: Executor) -> None:
        """Resume the test that a killed process left there."""
        test, left = self._attempts.test, self._attempts.left
        if test is not None and left is not None:
            self._tested(machine, test, self._attempts.resume(executor, test, left))

    def _close_open(self) -> None:
        """A test began there, and something came between: it gets its record now."""
        test = self._attempts.test
        if test is None or not self._attempts.is_open or isinstance(self.error, SinkError):
            return
        note = self._trouble if self.error is None else f"atex broke: {self._trouble}"
        if self._attempts.left is not None:
            note = f"atex was killed while it ran, and {self.machine} is lost: {self._trouble}"
        record = self._attempts.close(test, note)
        self._reporter.say(
            TestFinished,
            test=test.name,
            serial=test.serial,
            attempt=record.attempt,
            status=record.status,
            seconds=record.seconds or 0.0,
            exit_code=record.exit_code,
            note=record.note,
            unstarted=record.machine is None,
        )

    def _tested(self, machine: Machine, test: Test, outcome: RunOutcome) -> None:
        if outcome.sink_error is not None:
            self._break(outcome.sink_error)
        elif machine.lease_end is not None and time.time() >= machine.lease_end:
            self._reachable = not outcome.machine_lost
            self._reporter.say(MachineExpired)
        elif not outcome.machine_usable:
            self._reachable = not outcome.machine_lost
            self._failed(outcome.note or "the machine is out of use")
        self._reporter.tested(test, self._attempts.attempt, outcome)

    def _keep(self, provisioner: Provisioner) -> None:
        """First the lease, while somebody can still run finish there; then the agent's session is ended."""
        self.during = "keep"
        try:
            lease = provisioner.keep(prepared=True)
        except (ProvisionError, TimeoutError) as error:
            self.during = "test"
            self._reporter.say(MachineNotKept, reason=in_a_line(error))
            return
        self._kept = True
        self.holdings.close_session()
        # Otherwise it is borrowed from a process that lives, whose user knows how to get in.
        if lease.kept and self._attempts.test is not None:
            self._reporter.kept(lease, self._attempts.test.name)

    def _finish(self) -> None:
        """Run the plan's finish where its prepare was begun and somebody can still be told to."""
        if self._to_finish is None or not self._reachable or self._kept:
            return
        limit = self.holdings.begin_finish()
        if limit is not None:
            self.during = "finish"
            self._to_finish.finish(self._sink, limit=limit)

    def _give_back(self) -> None:
        self._remains = self.holdings.give_back()

    def _break(self, error: BaseException) -> None:
        """Stop the run for what is no machine's doing. Any thread."""
        self.error = error
        self._failed(error)

    def _failed(self, error: BaseException | str) -> None:
        """Say that the machine failed, unless it did not get far because it was stopped."""
        self._trouble = in_a_line(error)
        _log.info("%s failed: %s", self.during, self._trouble)
        if self.during in BEFORE_TESTS:
            if self.holdings.stopped:
                return
            if self.machine is not None and _comes_again(error):
                self._register.give_up(self.platform, self._given_name)
        self._reporter.failed(self.during, error)


def _comes_again(error: BaseException | str) -> bool:
    """Whether what failed on a machine before its tests would do so there again: not where it was lost, or not free."""
    if isinstance(error, PhaseFailed):
        return error.status != "infra"
    return not isinstance(error, MachineLost | MachineBusy | ProvisionError)
