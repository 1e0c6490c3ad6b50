"""One machine, from the request to the release, in a thread of its own.

Guarantees: each event is put in the queue by the worker's thread, MachineReleased is the last one and always comes
unless the thread hangs in somebody else's code; what the worker holds (a provisioner, an executor) is stored under
`_lock` the moment it exists, so that stop() finds it; whoever stops a worker never waits for a machine.

This code assumes that the calls it makes end by themselves: reserving within the provisioner's own limits, all others
within the executor's.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from queue import SimpleQueue

import msgspec
from atex_executor import Executor, ExecutorError, MachineLost, Sink, SinkError, Times
from atex_fmf import Suite, Test
from atex_provision import Machine, Provisioner, ProvisionError

from atex_orchestrator.events import (
    During,
    Event,
    MachineFailed,
    MachineOccupied,
    MachineReady,
    MachineReleased,
    MachineReserved,
    TestFinished,
)

_log = logging.getLogger(__name__)

FINISH_LIMIT = 3600.0  # seconds for the plan's finish phases
STOPPED_FINISH_LIMIT = 60.0  # the same after the run was stopped
BEFORE_PREPARE = ("reserve", "start")
LONGEST_REASON = 1000  # characters; each test that is given up for it repeats it


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What all workers of a run share."""

    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    grace: float  # seconds
    times: Times
    take_over: bool
    become: bool


class _Order(msgspec.Struct, frozen=True):
    test: Test
    attempt: int


class _Stopped(Exception):
    """The worker was stopped before it held the next thing."""


class Worker:
    """Gets a machine ready, runs on it what it is told, and gives it back.

    The orchestrator's owner thread calls the public methods, which do not wait, but for abandon() and join().
    """

    def __init__(
        self,
        number: int,
        *,
        platform: str,
        suite: Suite,
        factory: Callable[[], Provisioner],
        settings: Settings,
        sink: Sink,
        emit: Callable[[Event], None],
        unique: Callable[[str], str],
    ) -> None:
        """Take what it needs; `unique` makes the name of a machine one that no other of the run has."""
        self.number = number
        self.platform = platform
        self.machine: str | None = None
        """The name of the machine, once there is one."""
        self.error: Exception | None = None
        """What broke the worker itself: not a machine and not a test. Set before the event that follows from it."""
        self._suite = suite
        self._factory = factory
        self._settings = settings
        self._sink = sink
        self._emit = emit
        self._unique = unique
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()  # None: no more
        self._during: During = "reserve"
        self._reachable = True
        self._usable = True  # for tests
        self._lock = threading.Lock()  # guards the next five, and the beginning of finish
        self._provisioner: Provisioner | None = None
        self._executor: Executor | None = None
        self._stopped = False
        self._stopped_at_once = False
        self._interrupters: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._main, name=f"worker-{number}", daemon=True)

    def start(self) -> None:
        """Set out to get a machine."""
        self._thread.start()

    def run(self, test: Test, attempt: int) -> None:
        """Run a test; the machine must be ready and free."""
        self._orders.put(_Order(test, attempt))

    def release(self) -> None:
        """No test is left: finish and give the machine back, or stop getting one."""
        if self._during in (*BEFORE_PREPARE, "prepare"):
            self.stop("no test is left for this machine")
        self._orders.put(None)

    def stop(self, reason: str, *, at_once: bool = False) -> None:
        """Cancel the test and take no other; then finish and give the machine back, or, at once, only the latter."""
        interrupter = threading.Thread(
            target=self._interrupt,
            args=(reason, at_once),
            name=f"worker-{self.number}-stop",
            daemon=True,
        )
        with self._lock:
            self._stopped = True
            self._stopped_at_once = self._stopped_at_once or at_once
            self._interrupters.append(interrupter)
            interrupter.start()
        self._orders.put(None)

    def abandon(self) -> None:
        """Free the machine's lease without waiting for the worker, which hangs. For any thread."""
        with self._lock:
            provisioner = self._provisioner
        if provisioner is not None:
            provisioner.abort()

    def join(self, timeout: float) -> None:
        """Wait for the end of the worker's threads, so many seconds at most."""
        deadline = time.monotonic() + timeout
        for thread in (*self._interrupters, self._thread):
            thread.join(max(0.0, deadline - time.monotonic()))

    # Everything below runs in the worker's own thread, but for _interrupt().

    def _main(self) -> None:
        left = None
        try:
            self._guarded(self._serve)
            self._guarded(self._finish)
            left = self._leave()
        except Exception as error:
            _log.exception("worker %d broke", self.number)
            self.error = error
        finally:
            self._emit(
                MachineReleased(
                    worker=self.number, platform=self.platform, machine=self.machine, left=left
                )
            )

    def _guarded(self, step: Callable[[], None]) -> None:
        """Do a step; what goes wrong is said, and is the machine's doing unless it is no error of ours."""
        try:
            step()
        except _Stopped:
            pass
        except SinkError as error:
            self.error = error
            self._failed(error)
        except (MachineLost, ProvisionError) as error:
            self._reachable = False
            self._failed(error)
        except ExecutorError as error:
            self._failed(error)
        except Exception as error:
            _log.exception("worker %d broke", self.number)
            self.error = error
            self._failed(error)

    def _serve(self) -> None:
        machine = self._hold_provisioner(self._factory()).reserve()
        name = self.machine = self._unique(machine.name)
        _log.info("%s is reserved for platform %s: %s", name, self.platform, machine.facts)
        self._emit(MachineReserved(worker=self.number, platform=self.platform, machine=name))
        executor = self._hold_executor(self._new_executor(machine, name))
        self._during = "start"
        executor.start()
        self._during = "prepare"
        executor.prepare(self._sink)
        self._during = "test"
        _log.info("%s is ready", name)
        self._emit(
            MachineReady(
                worker=self.number,
                platform=self.platform,
                machine=name,
                session=executor.session,
            )
        )
        while self._usable and (order := self._orders.get()):
            self._run_test(executor, name, order)

    def _new_executor(self, machine: Machine, name: str) -> Executor:
        return Executor(
            machine.connection,
            self._suite,
            platform=self.platform,
            machine=name,
            environment=self._settings.environment,
            secrets=self._settings.secrets,
            grace=self._settings.grace,
            times=self._settings.times,
            slot=machine.slot,
            take_over=self._settings.take_over,
            become=self._settings.become,
            on_mark=machine.marks.__setitem__,
            on_busy=partial(self._wait, name),
            python=machine.python,
        )

    def _wait(self, machine: str, reason: str) -> None:
        self._emit(
            MachineOccupied(
                worker=self.number, platform=self.platform, machine=machine, reason=reason
            )
        )

    def _run_test(self, executor: Executor, machine: str, order: _Order) -> None:
        outcome = executor.run(order.test, self._sink, attempt=order.attempt)
        if outcome.sink_error is not None:
            self._usable, self.error = False, outcome.sink_error
            self._failed(outcome.sink_error)
        elif not outcome.machine_usable:
            self._usable, self._reachable = False, not outcome.machine_lost
            self._failed(outcome.note or "the machine is out of use")
        self._emit(
            TestFinished(
                worker=self.number,
                platform=self.platform,
                machine=machine,
                test=order.test.name,
                serial=order.test.serial,
                attempt=order.attempt,
                status=outcome.status,
                seconds=round(outcome.seconds, 3),
                note=outcome.note,
                agent_died=outcome.agent_died,
            )
        )

    def _finish(self) -> None:
        """Run the plan's finish where its prepare was begun and somebody can still be told to."""
        with self._lock:
            executor, stopped, at_once = self._executor, self._stopped, self._stopped_at_once
            if executor is None or not self._reachable or at_once or self._during in BEFORE_PREPARE:
                return
            self._during = "finish"
            interrupters = list(self._interrupters)
        for interrupter in interrupters:
            interrupter.join()  # what it cancels is over, and not what comes now
        executor.finish(self._sink, limit=STOPPED_FINISH_LIMIT if stopped else FINISH_LIMIT)

    def _leave(self) -> str | None:
        """End the session and give the machine back, whatever goes wrong with the former; return why processes may be
        left there.
        """
        with self._lock:
            provisioner, executor = self._provisioner, self._executor
        try:
            if executor is None:
                return None
            executor.close()
            return executor.left
        finally:
            if provisioner is not None:
                provisioner.release()
                _log.info("%s is released", self.machine or "the reservation")

    def _failed(self, error: Exception | str) -> None:
        """Say that the machine failed, unless it did not get far because it was stopped."""
        with self._lock:
            stopped = self._stopped
        reason = " ".join(str(error).split())[:LONGEST_REASON] or type(error).__name__
        _log.info("%s failed: %s", self._during, reason)
        if stopped and self._during in (*BEFORE_PREPARE, "prepare"):
            return
        self._emit(
            MachineFailed(
                worker=self.number,
                platform=self.platform,
                machine=self.machine,
                during=self._during,
                reason=reason,
            )
        )

    def _hold_provisioner(self, provisioner: Provisioner) -> Provisioner:
        with self._lock:
            if self._stopped:
                raise _Stopped
            self._provisioner = provisioner
        return provisioner

    def _hold_executor(self, executor: Executor) -> Executor:
        with self._lock:
            if self._stopped:
                raise _Stopped
            self._executor = executor
        return executor

    def _interrupt(self, reason: str, at_once: bool) -> None:
        """End what the worker waits for, in a thread of its own: a machine may not answer."""
        with self._lock:
            provisioner, executor, during = self._provisioner, self._executor, self._during
        if executor is not None and (at_once or during != "finish"):
            executor.cancel(reason, at_once=at_once)
        elif provisioner is not None and executor is None:
            provisioner.abort()
