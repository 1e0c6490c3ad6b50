"""Provisioners with a lease: all of our own, and most of those that a user writes.

Here is what is the same for all of them: the journal, connecting, facts, the lease's end; threads and
abort at any moment are in holding.py. A backend says what to ask for, asks, and frees.

Guarantee: the lease is in the journal before `_acquire()` is called, and goes when `_free()` has
returned. If that fails the lease stays, for gc to try again, and `left` says why; so it does where
the machine stays and the session of an agent there was not ended.

`_trouble` is written by the thread that gives back, of which there is one at a time.
"""

import contextlib
import logging
import math
import time
from abc import abstractmethod
from typing import ClassVar, Self

import msgspec

from atex_provision.connection.base import Connection
from atex_provision.errors import CannotConnect, LeaseError, NoLease, ProvisionError
from atex_provision.leases.holder import Holder
from atex_provision.leases.journal import LeaseJournal
from atex_provision.leases.lease import Lease, SessionNote, new_name
from atex_provision.machine import Machine
from atex_provision.provisioner.base import Moment, Provisioner
from atex_provision.provisioner.connecting import connect_to
from atex_provision.provisioner.holding import ABORT_TIME, Holding

_log = logging.getLogger(__name__)

DAY = 24 * 3600.0  # seconds
RELEASE_TIME = 60.0  # seconds
ALIVE_TIME = 10.0  # seconds


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

        Raises ValueError for a duration that is none.
        """
        if not 0 < duration < math.inf:
            raise ValueError(f"a lease can not last {duration} s")
        self.duration = duration
        self.purpose = purpose
        self.journal = journal or LeaseJournal()
        self._holding = Holding(self)
        self._over = self._holding.over
        self._given: Lease | None = None  # by adopt() or borrow()
        self._trouble: dict[str, str] = {}  # by lease: why it could not be given back

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
        """We have no part in the lease any more: it was given back, or left for gc, or (`failure`) the
        attempt failed. Called again for one that was left, if it could be given back later.
        """

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
        lease = self._holding.lease
        if lease is None:
            raise ProvisionError("there is no lease to add to")
        lease = msgspec.structs.replace(lease, resource={**lease.resource, **more})
        self._holding.store(lease)  # first: we can free it even if it cannot be written
        self.journal.update(lease.name, resource=lease.resource)
        self._check_over()

    def _check_over(self) -> None:
        """Raises Aborted if it is over."""
        self._holding.check()

    # The contract.

    @property
    def left(self) -> str | None:
        if self._trouble:
            return "; ".join(list(self._trouble.values()))
        return self._holding.left

    @property
    def leases_left(self) -> tuple[str, ...]:
        """After abort() or release(): the names of leases that could not be given back, of which `left`
        says why.
        """
        return tuple(self._trouble)

    def reserve(self) -> Machine:
        self._holding.begin()
        given = self._given
        if given is not None:
            return self._holding.run(lambda: self._connect(given), adopted=True)
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
                platform=self.platform,
            )
            self.journal.open(lease, take_over=take_over)
            self._holding.store(lease)
            self._progress("request", f"asking for {lease.name}")
            self._acquire(lease)
            return self._connect(self._holding.lease or lease)  # with what was learnt

        return self._holding.run(obtain)

    def abort(self) -> None:
        self._holding.end(ABORT_TIME)

    def release(self) -> None:
        self._holding.end(RELEASE_TIME)

    def alive(self) -> bool:
        machine = self._holding.machine
        if machine is None or self._over.is_set():
            return False
        if machine.lease_end is not None and time.time() >= machine.lease_end:
            return False
        try:
            return machine.connection.run("true", timeout=ALIVE_TIME).exit_code == 0
        except (ProvisionError, TimeoutError):
            return False

    def note_session(self, note: SessionNote) -> None:
        ours = msgspec.structs.replace(note, holder=Holder.myself())

        def change(lease: Lease) -> Lease:
            others = tuple(other for other in lease.sessions if other.id != note.id)
            return msgspec.structs.replace(lease, sessions=(*others, ours))

        self.journal.amend(self._reserved().lease, change)

    def forget_session(self, session: str) -> None:
        def change(lease: Lease) -> Lease:
            rest = tuple(note for note in lease.sessions if note.id != session)
            return msgspec.structs.replace(lease, sessions=rest)

        try:
            self.journal.amend(self._reserved().lease, change)
        except NoLease:  # given back, with all its sessions
            return

    def keep(self, until: float | None = None, *, prepared: bool = False) -> Lease:
        def write(lease: Lease) -> Lease:
            return self.journal.update(
                lease.name,
                kept=True,
                ends=lease.ends if until is None else min(until, lease.ends),
                prepared=prepared or lease.prepared,
            )

        machine = self._reserved()
        # What is not ours to keep, somebody else sees to.
        lease = self._holding.keep(write) or self.journal.read(machine.lease)
        machine.lease_end = lease.ends
        return lease

    def _reserved(self) -> Machine:
        machine = self._holding.machine
        if machine is None:
            raise ProvisionError("no machine is reserved here")
        return machine

    def _connect(self, lease: Lease) -> Machine:
        connection = self._connection(lease)
        self._holding.store(connection)
        self._progress("connect", f"connecting to {connection.name}")
        try:
            facts = connect_to(connection, boot_time=self.boot_time, again=self._connect_again)
        except CannotConnect as error:
            if not self.outlives_lease:
                error.permanent = False  # it was about this machine, and the next is another one
            raise
        machine = self._describe(lease, connection)
        machine.facts = facts
        machine.lease, machine.lease_end = lease.name, lease.ends
        machine.prepared = lease.prepared
        if self._holding.lease is not None:  # and not somebody else's
            self.journal.update(lease.name, machine=machine.name, login=connection.login)
        return machine

    def _connect_again(self, why: str, seconds: float) -> None:
        self._progress("boot", f"{why}; trying again in {seconds:g} s")
        self._pause(seconds)

    def _give_back(self, lease: Lease, failure: BaseException | None) -> bool:
        """Frees it and takes it out of the journal; whether it is out of our hands."""
        try:
            self._free(lease)
            if left := self._sessions_left(lease):
                self._leave(lease, left)
            else:
                self.journal.remove(lease.name)
                self._trouble.pop(lease.name, None)
            gone = True
        except Exception as error:
            _log.warning("%s could not be given back", lease.name, exc_info=error)
            self._leave(lease, f"{lease.name} could not be given back: {error}")
            gone = False
        try:
            self._ended(lease, failure)
        except Exception:
            _log.exception("%s: what should follow its end failed", lease.name)
        return gone

    def _sessions_left(self, lease: Lease) -> str | None:
        """In words, if the machine stays, and an agent on it."""
        if not self.outlives_lease:
            return None
        try:
            noted = self.journal.read(lease.name)
        except NoLease:
            return None
        return f"on {noted.machine} the session of an agent may go on" if noted.sessions else None

    def _leave(self, lease: Lease, why: str) -> None:
        """The lease stays for gc, which need not wait for the end of this process."""
        self._trouble[lease.name] = f"{why}; `atex gc {lease.name}` tries again"

        def change(lease: Lease) -> Lease:
            if lease.holder != Holder.myself():  # gc is at it already
                return lease
            sessions = tuple(
                msgspec.structs.replace(note, holder=None) if note.holder == lease.holder else note
                for note in lease.sessions
            )
            return msgspec.structs.replace(lease, holder=Holder.nobody(), sessions=sessions)

        with contextlib.suppress(LeaseError):
            self.journal.amend(lease.name, change)

    def _take(self, lease: Lease, *, ours: bool) -> None:
        """This provisioner is for a lease that is there already."""
        self._given = lease
        if ours:
            self._holding.store(lease)
