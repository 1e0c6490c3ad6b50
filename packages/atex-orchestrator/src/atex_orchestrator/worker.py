"""One machine, from the request to the release, in a thread of its own.

Guarantees: each event is put in the queue by the worker's thread, MachineReleased is the last one and always comes
unless the thread hangs in somebody else's code; what the worker holds (a provisioner, an executor) is stored under
`_lock` the moment it exists, so that stop() finds it; whoever stops a worker never waits for a machine.

This code assumes that the calls it makes end by themselves: reserving within the provisioner's own limits, all others
within the executor's.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue

import msgspec
from atex_executor import Executor, ExecutorError, Sink, SinkError
from atex_fmf import Suite, Test
from atex_provision import Machine, Provisioner, ProvisionError

from atex_orchestrator.events import (
    During,
    Event,
    MachineFailed,
    MachineReady,
    MachineReleased,
    MachineReserved,
    TestFinished,
)

_log = logging.getLogger(__name__)

FINISH_LIMIT = 3600.0  # seconds for the plan's finish phases
STOPPED_FINISH_LIMIT = 60.0  # the same after the run was stopped


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What all workers of a run share."""

    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    grace: float  # seconds


class _Order(msgspec.Struct, frozen=True):
    test: Test
    attempt: int


class _Stopped(Exception):
    """The worker was stopped before it held the next thing."""


class Worker:
    """Gets a machine ready, runs on it what it is told, and gives it back.

    The orchestrator's owner thread calls the public methods; none of them blocks but join().
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
    ) -> None:
        self.number = number
        self.platform = platform
        self.machine: str | None = None
        """The name of the machine, once there is one."""
        self.error: Exception | None = None
        """What broke the worker itself: not a machine and not a test. Set before its last event."""
        self._suite = suite
        self._factory = factory
        self._settings = settings
        self._sink = sink
        self._emit = emit
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()  # None: no more
        self._during: During = "reserve"
        self._prepared = False  # whether finish is due
        self._lock = threading.Lock()  # guards the next four
        self._provisioner: Provisioner | None = None
        self._executor: Executor | None = None
        self._stop_reason: str | None = None
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
        if self._during in {"reserve", "start", "prepare"}:
            self.stop("no test is left for this machine")
        self._orders.put(None)

    def stop(self, reason: str, *, at_once: bool = False) -> None:
        """Cancel the test and take no other; then finish and give the machine back, or, at once, only the latter."""
        with self._lock:
            self._stop_reason = self._stop_reason or reason
            self._stopped_at_once = self._stopped_at_once or at_once
        self._orders.put(None)
        interrupter = threading.Thread(
            target=self._interrupt,
            args=(reason, at_once),
            name=f"worker-{self.number}-stop",
            daemon=True,
        )
        self._interrupters.append(interrupter)
        interrupter.start()

    def abandon(self) -> None:
        """Free the machine's lease without waiting for the worker, which hangs. May block, never raises."""
        with self._lock:
            provisioner = self._provisioner
        if provisioner is not None:
            _abort(provisioner)

    def join(self, timeout: float) -> bool:
        """Wait so many seconds for the worker's threads to end, and return whether they did."""
        for thread in (*self._interrupters, self._thread):
            thread.join(timeout)
        return not any(thread.is_alive() for thread in (*self._interrupters, self._thread))

    # Everything below runs in the worker's own thread, but for _interrupt().

    def _main(self) -> None:
        left = None
        try:
            self._serve()
        except _Stopped:
            pass
        except SinkError as error:
            self.error = error
            self._failed(error)
        except (ExecutorError, ProvisionError) as error:
            self._failed(error)
        except Exception as error:
            _log.exception("worker %d broke", self.number)
            self.error = error
            self._failed(error)
        finally:
            left = self._leave()
            self._emit(
                MachineReleased(
                    worker=self.number, platform=self.platform, machine=self.machine, left=left
                )
            )

    def _serve(self) -> None:
        machine = self._hold_provisioner(self._factory()).reserve()
        self.machine = machine.name
        self._emit(
            MachineReserved(worker=self.number, platform=self.platform, machine=machine.name)
        )
        executor = self._hold_executor(self._new_executor(machine))
        self._during = "start"
        executor.start()
        self._during = "prepare"
        self._prepared = True
        executor.prepare(self._sink)
        self._during = "test"
        self._emit(MachineReady(worker=self.number, platform=self.platform, machine=machine.name))
        while order := self._orders.get():
            self._run_test(executor, machine.name, order)

    def _new_executor(self, machine: Machine) -> Executor:
        return Executor(
            machine.connection,
            self._suite,
            platform=self.platform,
            machine=machine.name,
            environment=self._settings.environment,
            secrets=self._settings.secrets,
            grace=self._settings.grace,
            python=machine.python,
        )

    def _run_test(self, executor: Executor, machine: str, order: _Order) -> None:
        outcome = executor.run(order.test, self._sink, attempt=order.attempt)
        if outcome.machine_lost:
            self._prepared = False
            self._emit(
                MachineFailed(
                    worker=self.number,
                    platform=self.platform,
                    machine=machine,
                    during="test",
                    reason=outcome.note or "the machine is lost",
                )
            )
        self._emit(
            TestFinished(
                worker=self.number,
                platform=self.platform,
                machine=machine,
                test=order.test.name,
                serial=order.test.serial,
                attempt=order.attempt,
                status=outcome.status,
                seconds=outcome.seconds,
                note=outcome.note,
            )
        )

    def _leave(self) -> str | None:
        """Finish, end the session, give the machine back; return why processes may be left there."""
        with self._lock:
            provisioner, executor = self._provisioner, self._executor
        left = None
        if executor is not None:
            self._finish(executor)
            left = self._close(executor)
        if provisioner is not None:
            self._release(provisioner)
        return left

    def _finish(self, executor: Executor) -> None:
        with self._lock:
            stopped, at_once = self._stop_reason is not None, self._stopped_at_once
        if not self._prepared or at_once:
            return
        self._during = "finish"
        try:
            executor.finish(self._sink, limit=STOPPED_FINISH_LIMIT if stopped else FINISH_LIMIT)
        except (ExecutorError, ProvisionError) as error:
            self._failed(error)

    def _close(self, executor: Executor) -> str | None:
        executor.close()
        return executor.left

    def _release(self, provisioner: Provisioner) -> None:
        self._during = "release"
        try:
            provisioner.release()
        except ProvisionError as error:
            self._failed(error)
        _abort(provisioner)

    def _failed(self, error: Exception) -> None:
        """Say that the machine failed, unless it did so because it was stopped."""
        with self._lock:
            stopped = self._stop_reason is not None
        _log.info("worker %d: %s failed: %s", self.number, self._during, error, exc_info=error)
        if stopped and self._during in {"reserve", "start", "prepare"}:
            return
        self._emit(
            MachineFailed(
                worker=self.number,
                platform=self.platform,
                machine=self.machine,
                during=self._during,
                reason=str(error) or type(error).__name__,
            )
        )

    def _hold_provisioner(self, provisioner: Provisioner) -> Provisioner:
        with self._lock:
            if self._stop_reason is not None:
                raise _Stopped
            self._provisioner = provisioner
        return provisioner

    def _hold_executor(self, executor: Executor) -> Executor:
        with self._lock:
            if self._stop_reason is not None:
                raise _Stopped
            self._executor = executor
        return executor

    def _interrupt(self, reason: str, at_once: bool) -> None:
        """End what the worker waits for, in a thread of its own: a machine may not answer."""
        with self._lock:
            provisioner, executor = self._provisioner, self._executor
        if executor is not None and (at_once or self._during != "finish"):
            executor.cancel(reason, at_once=at_once)
        elif provisioner is not None and executor is None:
            _abort(provisioner)


def _abort(provisioner: Provisioner) -> None:
    try:
        provisioner.abort()
    except ProvisionError:
        _log.exception("a machine could not be given back")
