"""One machine that is held for somebody, from the request until it is given back, in a thread of its own.

Guarantees: all messages are put by the keeper's thread, and Gone is the last one; stop() never waits. `_lock` guards
`_provisioner`, `_executor` and `_ready`; nobody does I/O while holding it. `_over` and `_expired` are set once and
never cleared.
"""

import logging
import math
import threading
import time
from collections.abc import Callable

import msgspec
from atex_executor import Executor, ExecutorError, PhaseFailed
from atex_orchestrator.events import During, Event
from atex_orchestrator.reporter import Reporter
from atex_provision import LeaseJournal, Machine, Platform, Provisioner, ProvisionError

from atex_cli.preparing import Preparation

LOOK = 60.0  # seconds: who sleeps, as a laptop does, must not oversleep the end of a lease

_log = logging.getLogger(__name__)


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The machine is there, and prepared where that was wanted and went well."""

    keeper: int
    lease: str
    machine: str
    login: str
    ends: float | None
    prepared: bool


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """The keeper has ended: its machine, if there was one, is given back, or `left` says why not."""

    keeper: int
    lease: str | None
    left: str | None


Message = Held | Gone | Event


class Keeper:
    """Gets one machine, prepares it perhaps, and holds it until stop() or the end of its lease."""

    def __init__(
        self,
        number: int,
        *,
        platform: Platform,
        factory: Callable[[], Provisioner],
        preparation: Preparation | None,
        journal: LeaseJournal,
        emit: Callable[[Message], None],
    ) -> None:
        """Take what it needs, and do nothing yet. `number`: in its messages."""
        self.number = number
        self._platform = platform
        self._factory = factory
        self._preparation = preparation
        self._journal = journal
        self._emit = emit
        self._reporter = Reporter(number, platform.name, emit)
        self._lock = threading.Lock()
        self._provisioner: Provisioner | None = None
        self._executor: Executor | None = None
        self._ready = False  # there is no reservation any more that would have to be aborted
        self._over = threading.Event()
        self._expired = threading.Event()
        self._during: During = "reserve"
        self._machine: Machine | None = None
        self._thread = threading.Thread(target=self._main, name=f"keeper-{number}", daemon=True)

    def start(self) -> None:
        """Set out to get a machine."""
        self._thread.start()

    def stop(self, reason: str) -> None:
        """Give the machine back, whatever goes on with it. Any thread."""
        self._over.set()
        threading.Thread(target=self._interrupt, args=[reason], daemon=True).start()

    def _interrupt(self, reason: str) -> None:
        """End what the keeper waits for, in a thread of its own: a machine may not answer."""
        with self._lock:
            provisioner, executor, ready = self._provisioner, self._executor, self._ready
        if executor is not None:
            executor.cancel(reason, at_once=True)
        elif provisioner is not None and not ready:
            provisioner.abort()

    def _expire(self) -> None:
        """End what prepares the machine, whose lease has ended, in a thread of its own."""
        self._expired.set()
        with self._lock:
            executor = self._executor
        if executor is not None:
            executor.cancel("the lease has ended", at_once=True)

    # Everything below runs in the keeper's own thread.

    def _main(self) -> None:
        left = None
        try:
            self._keep()
        except Exception as error:
            self._failed(error)
        finally:
            if self._provisioner is not None:
                self._provisioner.release()
                left = self._provisioner.left
            lease = self._machine.lease if self._machine is not None else None
            self._emit(Gone(keeper=self.number, lease=lease, left=left))

    def _keep(self) -> None:
        provisioner = self._factory()
        provisioner.on_progress = self._reporter.coming
        provisioner.platform = self._platform
        with self._lock:
            self._provisioner = provisioner
        if self._over.is_set():
            return
        machine = self._machine = provisioner.reserve()
        self._reporter.machine = machine.name
        with self._lock:
            self._ready = True
        prepared = self._prepare(machine, provisioner)
        if self._over.is_set():
            return
        if self._has_ended(machine):
            raise ProvisionError(f"the lease {machine.lease} ended before its machine was ready")
        if prepared:
            self._journal.update(machine.lease, prepared=True)
        self._emit(
            Held(
                keeper=self.number,
                lease=machine.lease,
                machine=machine.name,
                login=machine.connection.login,
                ends=machine.lease_end,
                prepared=prepared,
            )
        )
        self._hold(machine)

    def _prepare(self, machine: Machine, provisioner: Provisioner) -> bool:
        """Prepare the machine, if that is wanted; return whether it is prepared. Raises as Preparation.run()."""
        if self._preparation is None:
            return False
        executor = self._preparation.executor(machine, self._reporter.occupied)
        with self._lock:
            self._executor = executor
        end = threading.Timer(min(_seconds_left(machine), threading.TIMEOUT_MAX), self._expire)
        end.daemon = True
        try:
            if self._over.is_set():
                return False
            end.start()
            self._during = "prepare"
            for failure in self._preparation.run(executor, machine, provisioner):
                self._reporter.incomplete(failure)
            return True
        except ExecutorError as error:
            if self._has_ended(machine):  # which is why
                return False
            if not isinstance(error, PhaseFailed):
                raise
            self._failed(error)
            return False
        finally:
            end.cancel()
            with self._lock:
                self._executor = None

    def _has_ended(self, machine: Machine) -> bool:
        return self._expired.is_set() or _seconds_left(machine) <= 0

    def _hold(self, machine: Machine) -> None:
        while (left := _seconds_left(machine)) > 0:
            if self._over.wait(min(LOOK, left)):
                return

    def _failed(self, error: Exception) -> None:
        """Say that there is no machine, or that it is not prepared, unless that was wanted."""
        if self._over.is_set():
            return
        if not isinstance(error, ProvisionError | ExecutorError | TimeoutError):
            _log.exception("keeper %d broke", self.number)
        self._reporter.failed(self._during, error)


def _seconds_left(machine: Machine) -> float:
    """Return how long the lease still lasts: not above zero where it has ended."""
    return math.inf if machine.lease_end is None else machine.lease_end - time.time()
