"""What a provisioner holds: a thread that gets a machine, its lease, its connection, and the machine;
and the end of all that, from any thread, at any moment.

Guarantees:
- What exists is stored before anything else happens, so that end() finds it. Nothing new begins
  after end().
- run() raises at the latest 5 seconds after end() began, though its thread hangs; when that thread
  comes back, it gives back what it got.
- A lease is given back by one thread at a time, and not again once that has worked. Whichever of
  end() and keep() comes first has its way.

`_changed`, a condition, guards `_begun`, `_thread`, `_lease`, `_connection`, `_machine`, `_keeping`,
`_freeing` and `_freed`; nobody does I/O while holding it. `over` is set once and never cleared.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import ClassVar, Protocol

from atex_provision.connection.base import Connection
from atex_provision.errors import Aborted, ProvisionError
from atex_provision.leases.lease import Lease
from atex_provision.machine import Machine

_log = logging.getLogger(__name__)

ABORT_TIME = 4.5  # seconds; the contract gives 5
PROMPT = 2.0  # seconds that the thread has to give back what it got, before others begin with it
AGAIN = 0.1  # seconds
FREE_AGAIN = 5.0  # seconds; a service should not be asked more often while our thread hangs


class NoThread(ProvisionError):
    """This process cannot start another thread; nothing was asked for."""


class Backend(Protocol):
    """What differs between provisioners. Any thread calls these."""

    kind: ClassVar[str]

    def _interrupt(self) -> None: ...

    def _free(self, lease: Lease) -> None: ...

    def _give_back(self, lease: Lease, failure: BaseException | None) -> bool: ...


class Holding:
    """What one provisioner holds. Any thread; store() is for the one that run() makes."""

    def __init__(self, backend: Backend) -> None:
        """Holds nothing yet."""
        self.over = threading.Event()
        self._backend = backend
        self._changed = threading.Condition()
        self._begun = False
        self._thread: threading.Thread | None = None  # that gets the machine
        self._lease: Lease | None = None  # in the journal, and ours to give back
        self._connection: Connection | None = None
        self._machine: Machine | None = None  # when it is ready
        self._keeping = False
        self._freeing: threading.Thread | None = None
        self._freed: tuple[Lease, float] | None = None  # while the thread hung; and when

    @property
    def lease(self) -> Lease | None:
        """The lease that is ours to give back."""
        with self._changed:
            return self._lease

    @property
    def machine(self) -> Machine | None:
        """The machine, from when it is ready."""
        with self._changed:
            return self._machine

    @property
    def left(self) -> str | None:
        """When it is over: what is not given back yet."""
        with self._changed:
            if not self.over.is_set() or (self._lease is None and self._thread is None):
                return None
            name = self._backend.kind if self._lease is None else self._lease.name
            return f"{name} is still being given back"

    def begin(self) -> None:
        """Raises Aborted if it is over, ProvisionError if it was begun before."""
        with self._changed:
            self.check()
            if self._begun:
                raise ProvisionError(
                    "a provisioner reserves one machine, once; make another one for another machine"
                )
            self._begun = True

    def check(self) -> None:
        """Raises Aborted if it is over."""
        if self.over.is_set():
            raise Aborted("the reservation was aborted")

    def store(self, held: Lease | Connection) -> None:
        """From here on end() knows of it. A lease replaces the one before."""
        with self._changed:
            if isinstance(held, Lease):
                self._lease = held
            else:
                self._connection = held

    def run(self, obtain: Callable[[], Machine], *, adopted: bool = False) -> Machine:
        """Calls `obtain` in a thread of its own, waits for it, and returns or raises what it does.

        Raises Aborted if it is over, NoThread. If there is no machine, the lease that was stored is given back,
        unless it was adopted: then whoever did that says when.
        """
        future: Future[Machine] = Future()
        with self._changed:
            self.check()
            thread = threading.Thread(
                target=self._obtain,
                args=[future, obtain, adopted],
                name=f"reserve-{self._backend.kind}",
                daemon=True,
            )
            try:
                thread.start()
            except RuntimeError as error:
                raise NoThread(
                    f"{error}: raise the limit of processes (ulimit -u), or ask for fewer machines"
                ) from error
            self._thread = thread
        try:
            self._await(future)
        except BaseException:  # Ctrl-C
            self.end(ABORT_TIME)
            raise
        if not future.done():
            raise Aborted("the reservation was aborted; what it may still get will be given back")
        thread.join()
        return future.result()

    def _await(self, future: Future[Machine]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: future.done() or self.over.is_set())
            self._changed.wait_for(future.done, ABORT_TIME)

    def _obtain(
        self, future: Future[Machine], obtain: Callable[[], Machine], adopted: bool
    ) -> None:
        """The thread. In the end the machine is ready, or given back."""
        failure: BaseException
        try:
            machine = obtain()
            with self._changed:
                self.check()
                self._machine = machine
                self._done(future.set_result, machine)
            return
        except BaseException as error:
            failure = error
        if self.over.is_set() and not isinstance(failure, Aborted):
            _log.info("%s: aborted, and it failed", self._backend.kind, exc_info=failure)
            failure = Aborted("the reservation was aborted")
        with self._changed:
            connection, lease = self._connection, self._lease
        if connection is not None:
            connection.close()
        gone = lease is None or adopted or self._backend._give_back(lease, failure)
        with self._changed:
            if gone and not adopted:
                self._lease = None
            self._done(future.set_exception, failure)

    def _done(self, settle: Callable[..., None], outcome: object) -> None:
        """To be called with the lock."""
        settle(outcome)
        self._thread = None
        self._changed.notify_all()

    def keep(self, write: Callable[[Lease], Lease]) -> Lease | None:
        """Lets go of the lease as soon as `write(lease)` has returned, and returns what that did;
        None if there is none that is ours. end() waits meanwhile.

        Raises ProvisionError if there is no machine, and what `write` raises.
        """
        with self._changed:
            if self._machine is None or self._keeping or self.over.is_set():
                raise ProvisionError("there is no machine to be kept: none is reserved here")
            lease = self._lease
            if lease is None:
                return None
            self._keeping = True
        try:
            kept = write(lease)
            with self._changed:
                self._lease = None
            return kept
        finally:
            with self._changed:
                self._keeping = False
                self._changed.notify_all()

    def end(self, patience: float) -> None:
        """Ends all, and waits for that, `patience` seconds at most. Total; may be repeated."""
        deadline = time.monotonic() + patience
        prompt = time.monotonic() + PROMPT
        self.over.set()
        with self._changed:
            self._changed.notify_all()
        try:
            self._backend._interrupt()
        except Exception:
            _log.exception("%s: cannot be interrupted", self._backend.kind)
        while self._close() and time.monotonic() < deadline:
            if time.monotonic() > prompt:
                self._start_freeing()
        freeing = self._start_freeing()
        if freeing is not None:
            freeing.join(max(0.0, deadline - time.monotonic()))

    def _close(self) -> bool:
        """Closes the connection; whether that has to be done again, after a moment: it may have come
        before connect(), which then knows nothing of it.
        """
        with self._changed:
            connection, thread = self._connection, self._thread
        if connection is not None:
            connection.close()
        if thread is threading.current_thread():
            return False  # on_progress() has called abort(): the rest comes when that returns
        with self._changed:
            return not self._changed.wait_for(
                lambda: self._thread is None and not self._keeping, AGAIN
            )

    def _start_freeing(self) -> threading.Thread | None:
        """Makes sure that somebody frees what is held, and returns the thread that does."""
        with self._changed:
            lease, thread = self._lease, self._thread
            if lease is None or self._keeping or thread is threading.current_thread():
                return None
            if self._freeing is not None and self._freeing.is_alive():
                return self._freeing
            if thread is not None and self._has_freed(lease):
                return None
            free = self._give_back if thread is None else self._free_meanwhile
            self._freeing = threading.Thread(
                target=free, args=[lease], name=f"free-{lease.name}", daemon=True
            )
            try:
                self._freeing.start()
                return self._freeing
            except RuntimeError:  # no more threads, or the interpreter is about to end
                pass
        free(lease)
        return None

    def _give_back(self, lease: Lease) -> None:
        if self._backend._give_back(lease, None):
            with self._changed:
                self._lease = None

    def _free_meanwhile(self, lease: Lease) -> None:
        """Frees what there is so far; the thread that hangs does so once more when it comes back."""
        try:
            self._backend._free(lease)
        except Exception as error:
            _log.info("%s: not freed while it was asked for: %s", lease.name, error)
        with self._changed:
            self._freed = lease, time.monotonic()

    def _has_freed(self, lease: Lease) -> bool:
        """Whether it was freed a moment ago, and nothing was learnt of it since. With the lock."""
        if self._freed is None:
            return False
        freed, when = self._freed
        return freed is lease and time.monotonic() < when + FREE_AGAIN
