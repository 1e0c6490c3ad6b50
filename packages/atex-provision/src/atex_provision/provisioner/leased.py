"""Provisioners with a lease: all of our own, and most of those that a user writes.

Here is everything that is the same for all of them: the journal, threads, abort at any moment,
connecting, facts, the end. A backend says what to ask for, asks, and frees.

Guarantees:
- The lease is in the journal before `_acquire()` is called, and goes when `_free()` has returned. If
  that fails the lease stays, and `left` says why.
- A reservation has a thread of its own, so that reserve() and abort() return within 5 seconds even
  if the backend hangs. When it comes back, that thread frees what it got.
- Two threads that release at once free once. After the first of abort(), release() and keep() none
  of the others undoes it.

`_changed`, a condition, guards `_started`, `_reservation`, `_lease`, `_asked`, `_connected`,
`_machine`, `_keeping` and `_freeing`; nobody does I/O while holding it. `_over` is set once and never
cleared.
"""

import logging
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Self

import msgspec

from atex_provision.connection.base import Connection
from atex_provision.errors import Aborted, NoLease, ProvisionError
from atex_provision.leases.holder import Holder
from atex_provision.leases.journal import LeaseJournal
from atex_provision.leases.lease import Lease, SessionNote, new_name
from atex_provision.machine import Machine
from atex_provision.provisioner.base import Moment, Provisioner
from atex_provision.provisioner.connecting import connect_to

_log = logging.getLogger(__name__)

DAY = 24 * 3600.0  # seconds
ABORT_TIME = 5.0  # seconds
PROMPT = 2.0  # seconds that a reservation has to free by itself what it got, before others do
RELEASE_TIME = 60.0  # seconds
ALIVE_TIME = 10.0  # seconds
AGAIN = 0.1  # seconds


class _Reservation:
    """What has become of one attempt to get a machine; None: it goes on."""

    def __init__(self, thread: threading.Thread) -> None:
        self.thread = thread
        self.outcome: Machine | BaseException | None = None


class LeasedProvisioner(Provisioner):
    """Gets one machine by a lease.

    A backend writes `_resource()`, `_acquire()`, `_connection()`, `_free()` and `_of()`, perhaps
    `_describe()`; it uses `_progress()`, `_pause()` and `_learn()`.
    """

    kind: ClassVar[str] = "machine"
    """What the names of its leases begin with: `podman`."""
    outlives_lease: ClassVar[bool] = False
    """Whether the machine is there after its lease, so that sessions of agents must be ended one by
    one.
    """
    boot_time: float = 0.0
    """Seconds for which connecting is tried again, because the machine may be booting."""

    def __init__(
        self, *, duration: float = DAY, purpose: str = "", journal: LeaseJournal | None = None
    ) -> None:
        """`duration`: seconds from the request to the end of the lease. `purpose`: what the machine
        is for, in words, for whoever wonders about the lease.
        """
        self.duration = duration
        self.purpose = purpose
        self.journal = journal or LeaseJournal()
        self._over = threading.Event()
        self._changed = threading.Condition()
        self._started = False
        self._reservation: _Reservation | None = None  # that goes on
        self._lease: Lease | None = None  # in the journal, and ours to give back
        self._asked = False  # whether there may be something to free
        self._given: Lease | None = None  # by adopt() or borrow()
        self._connected: Connection | None = None  # or about to be
        self._machine: Machine | None = None  # when it is ready
        self._keeping = False
        self._freeing: threading.Thread | None = None

    # What a backend writes.

    @abstractmethod
    def _resource(self) -> dict[str, str]:
        """What will be asked for. The name of the lease, which is unique, will do as a tag."""

    @abstractmethod
    def _acquire(self, lease: Lease) -> None:
        """Asks for the machine and waits until it is there, or boots. Called once per lease.

        Raises ProvisionError; `_free()` is called then as well.
        """

    @abstractmethod
    def _connection(self, lease: Lease) -> Connection:
        """A connection to the machine, not connected yet. Raises ProvisionError."""

    @abstractmethod
    def _free(self, lease: Lease) -> None:
        """Frees all that was asked for with this lease, by what the lease says alone; nothing of it
        need be there (any more). To come to an end in a minute.

        Any thread, any number of times, also while `_acquire()` runs in another one, which should
        then fail. Raises ProvisionError if something may be left.
        """

    @classmethod
    @abstractmethod
    def _of(cls, lease: Lease, journal: LeaseJournal) -> Self:
        """A provisioner for a lease that another process made."""

    def _describe(self, lease: Lease, connection: Connection) -> Machine:
        """The machine, but for its facts and its lease."""
        return Machine(name=connection.name, connection=connection)

    def _interrupt(self) -> None:
        """Ends what `_acquire()` waits for, where that is not `_pause()`. Any thread, at any time, any
        number of times; does not wait.
        """

    def _ended(self, lease: Lease, failure: BaseException | None) -> None:
        """The lease is out of the journal: it was given back, or (`failure`) the attempt failed."""

    # What a backend uses.

    def _progress(self, moment: Moment, words: str) -> None:
        """Tells whoever wants to know. Raises Aborted if it is over."""
        self._check_over()
        self.on_progress(moment, words)
        self._check_over()

    def _pause(self, seconds: float) -> None:
        """Waits. Raises Aborted as soon as it is over."""
        self._over.wait(seconds)
        self._check_over()

    def _learn(self, **more: str) -> None:
        """Adds to the lease's resource what is known now, on disk before it returns. Only in
        `_acquire()`. Raises Aborted if it is over, and then what was learnt is kept as well.
        """
        with self._changed:
            lease = self._lease
        if lease is None:
            raise ProvisionError("there is no lease to add to")
        lease = self.journal.update(lease.name, resource={**lease.resource, **more})
        with self._changed:
            self._lease = lease
        self._check_over()

    def _check_over(self) -> None:
        if self._over.is_set():
            raise Aborted("the reservation was aborted")

    # The contract.

    def reserve(self) -> Machine:
        with self._changed:
            if self._started and not self._over.is_set():
                raise ProvisionError(
                    "a provisioner reserves one machine, once; make another one for another machine"
                )
            self._started = True
            self._check_over()
            given = self._given
        if given is not None:
            return self._run(lambda: self._connect(given))
        return self._reserve()

    def _reserve(self) -> Machine:
        """Reserves a machine. For a backend that has more than one attempt."""
        return self._attempt(self._resource())

    def _attempt(
        self, resource: dict[str, str], key: str = "", *, take_over: bool = False
    ) -> Machine:
        """One attempt: a lease of this resource and key, and the machine.

        Raises Aborted, LeaseTaken, or why there is no machine; nothing is held then.
        """

        def obtain() -> Machine:
            now = time.time()
            lease = Lease(
                name=new_name(key or self.kind),
                backend=f"{type(self).__module__}:{type(self).__qualname__}",
                resource=resource,
                key=key,
                holder=Holder.myself(),
                created=now,
                ends=now + self.duration,
                purpose=self.purpose,
            )
            self.journal.open(lease, take_over=take_over)
            with self._changed:
                self._lease, self._asked = lease, False
            self._progress("request", f"asking for {lease.name}")
            with self._changed:
                self._asked = True
            self._acquire(lease)
            return self._connect(self.journal.read(lease.name))  # with what was learnt

        return self._run(obtain)

    def abort(self) -> None:
        self._end(ABORT_TIME)

    def release(self) -> None:
        self._end(RELEASE_TIME)

    def alive(self) -> bool:
        with self._changed:
            machine = self._machine
        if machine is None or self._over.is_set():
            return False
        if machine.lease_end is not None and time.time() >= machine.lease_end:
            return False
        try:
            return machine.connection.run("true", timeout=ALIVE_TIME).exit_code == 0
        except (ProvisionError, TimeoutError):
            return False

    def note_session(self, note: SessionNote) -> None:
        self.journal.amend(
            self._lease_name(),
            lambda lease: msgspec.structs.replace(lease, sessions=(*lease.sessions, note)),
        )

    def forget_session(self, session: str) -> None:
        def change(lease: Lease) -> Lease:
            rest = tuple(note for note in lease.sessions if note.id != session)
            return msgspec.structs.replace(lease, sessions=rest)

        try:
            self.journal.amend(self._lease_name(), change)
        except NoLease:  # given back, with all its sessions
            return

    def keep(self, until: float | None = None, *, prepared: bool = False) -> Lease:
        with self._changed:
            lease, machine = self._lease, self._machine
            if machine is None or self._keeping or self._over.is_set():
                raise ProvisionError("there is no machine to be kept: none is reserved here")
            self._keeping = lease is not None
        if lease is None:  # borrowed, or kept already: somebody else sees to it
            return self.journal.read(machine.lease)
        try:
            ends = lease.ends if until is None else min(until, lease.ends)
            kept = self.journal.amend(
                lease.name,
                lambda lease: msgspec.structs.replace(
                    lease, kept=True, ends=ends, prepared=prepared or lease.prepared
                ),
            )
            with self._changed:
                self._lease = None
                machine.lease_end = ends
            return kept
        finally:
            with self._changed:
                self._keeping = False
                self._changed.notify_all()

    def _lease_name(self) -> str:
        with self._changed:
            machine = self._machine
        if machine is None:
            raise ProvisionError("no machine is reserved")
        return machine.lease

    # The reservation.

    def _run(self, obtain: Callable[[], Machine]) -> Machine:
        """Calls `obtain` in a thread of its own, and waits for it, but not when it is over."""
        with self._changed:
            self._check_over()
            thread = threading.Thread(
                target=lambda: self._settle(reservation, obtain),
                name=f"reserve-{self.kind}",
                daemon=True,
            )
            reservation = _Reservation(thread)
            thread.start()
            self._reservation = reservation
        try:
            with self._changed:
                self._changed.wait_for(
                    lambda: reservation.outcome is not None or self._over.is_set()
                )
                self._changed.wait_for(lambda: reservation.outcome is not None, ABORT_TIME)
        except BaseException:  # Ctrl-C
            self.abort()
            raise
        outcome = reservation.outcome
        if outcome is None:
            raise Aborted("the reservation was aborted; what it still gets will be given back")
        thread.join()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _settle(self, reservation: _Reservation, obtain: Callable[[], Machine]) -> None:
        """The thread of a reservation. In the end the machine is ready, or given back."""
        failure: BaseException
        try:
            machine = obtain()
            with self._changed:
                self._check_over()
                self._machine = reservation.outcome = machine
                self._reservation = None
                self._changed.notify_all()
            return
        except BaseException as error:
            failure = error
        if self._over.is_set() and not isinstance(failure, Aborted):
            failure = Aborted("the reservation was aborted")
        with self._changed:
            connection, lease = self._connected, self._lease
        if connection is not None:
            connection.close()
        # A lease that was adopted is given back by who adopted it, when he says so.
        if lease is not None and self._given is None:
            self._give_back(lease, failure)
        with self._changed:
            reservation.outcome = failure
            self._reservation = None
            self._changed.notify_all()

    def _connect(self, lease: Lease) -> Machine:
        connection = self._connection(lease)
        with self._changed:
            self._connected = connection
        self._progress("connect", f"connecting to {connection.name}")
        facts = connect_to(connection, boot_time=self.boot_time, again=self._connect_again)
        machine = self._describe(lease, connection)
        machine.facts = facts
        machine.lease, machine.lease_end = lease.name, lease.ends
        machine.prepared = lease.prepared
        with self._changed:
            ours = self._lease is not None
        if ours:
            self.journal.update(lease.name, machine=machine.name, login=connection.login)
        return machine

    def _connect_again(self, why: str, seconds: float) -> None:
        self._progress("boot", f"{why}; trying again in {seconds:g} s")
        self._pause(seconds)

    # The end.

    def _end(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        self._over.set()
        with self._changed:
            self._changed.notify_all()
        try:
            self._interrupt()
        except Exception:
            _log.exception("%s: interrupting it failed", self.kind)
        prompt = time.monotonic() + PROMPT
        while self._close_connection() and time.monotonic() < deadline:
            if time.monotonic() > prompt:
                self._start_freeing()
        freeing = self._start_freeing()
        if freeing is not None and freeing is not threading.current_thread():
            freeing.join(max(0.0, deadline - time.monotonic()))
            if freeing.is_alive():
                self.left = f"it is still being given back after {patience:g} s"

    def _close_connection(self) -> bool:
        """Closes the connection; whether it has to be done again, after a moment: close() may have
        come before connect(), which then knows nothing of it.
        """
        with self._changed:
            connection, reservation = self._connected, self._reservation
        if connection is not None:
            connection.close()
        if reservation is not None and reservation.thread is threading.current_thread():
            return False
        with self._changed:
            return not self._changed.wait_for(
                lambda: self._reservation is None and not self._keeping, AGAIN
            )

    def _start_freeing(self) -> threading.Thread | None:
        """Makes sure that what is held is being freed. The thread that does it, if there is one."""
        with self._changed:
            lease, reservation = self._lease, self._reservation
            if lease is None or self._keeping:
                return None
            if reservation is not None and reservation.thread is threading.current_thread():
                return None  # which does it itself, as soon as it may
            if self._freeing is None or not self._freeing.is_alive():
                free = self._free_meanwhile if reservation is not None else self._give_back
                self._freeing = threading.Thread(
                    target=free, args=[lease], name=f"free-{lease.name}", daemon=True
                )
                self._freeing.start()
            return self._freeing

    def _free_meanwhile(self, lease: Lease) -> None:
        """Frees what there is so far; the reservation does it once more when it comes to its end."""
        try:
            self._free(lease)
        except Exception as error:
            _log.info("%s: not freed while it was asked for: %s", lease.name, error)

    def _give_back(self, lease: Lease, failure: BaseException | None = None) -> None:
        """Frees it and takes it out of the journal, or says in `left` why not."""
        try:
            if self._asked:
                self._free(lease)
            self.journal.remove(lease.name)
            with self._changed:
                self._lease = None
            self.left = None
            self._ended(lease, failure)
        except Exception as error:
            _log.warning("%s could not be given back: %s", lease.name, error)
            self.left = (
                f"{lease.name} could not be given back: {error}; when this process has ended,"
                f" `atex gc {lease.name}` tries again"
            )

    def _take(self, lease: Lease, *, ours: bool) -> None:
        """This provisioner is for a lease that is there already."""
        self._given = lease
        self._asked = ours
        self._lease = lease if ours else None
