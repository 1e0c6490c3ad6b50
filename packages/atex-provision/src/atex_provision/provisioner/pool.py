"""A fixed set of hosts, each slot of them used by one at a time: here by the books of the pool, and
across the processes of this user by the key of its lease.

`HostPool._changed`, a condition, guards the four collections of hosts. A host is in exactly one of
`_free`, `_busy` and `_failed`, and only the provisioner that took it moves it on.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import ClassVar, Self

import msgspec

from atex_provision.connection.base import Connection
from atex_provision.connection.ssh import SshConnection
from atex_provision.errors import (
    Aborted,
    BadHost,
    LeaseError,
    LeaseTaken,
    NoMachine,
    ProvisionError,
)
from atex_provision.host import Host
from atex_provision.leases.journal import LeaseJournal
from atex_provision.leases.lease import Lease
from atex_provision.machine import Machine
from atex_provision.provisioner.base import Provisioner
from atex_provision.provisioner.leased import DAY, LeasedProvisioner

TAKEN_AGAIN = 1.0  # seconds until a look whether another process has given its host back


class HostPool:
    """Hosts that are there already, for any number of threads of this process.

    `provisioner` is a factory: each of its provisioners gets one host to itself. A host that cannot
    be connected to is set aside, and another one is tried.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        *,
        connection: Callable[[Host], Connection] = SshConnection,
        take_over: bool = False,
        duration: float = DAY,
        purpose: str = "",
        journal: LeaseJournal | None = None,
    ) -> None:
        """`take_over`: a lease that another process has on a host is no obstacle; to end its session
        is the agent's business. The rest is as for every LeasedProvisioner.

        Raises BadHost if there is no host, or one is listed twice.
        """
        if not hosts:
            raise BadHost("a pool needs at least one host")
        names = [host.name for host in hosts]
        if twice := {name for name in names if names.count(name) > 1}:
            raise BadHost(f"a pool has each host once; listed again: {', '.join(sorted(twice))}")
        self.take_over = take_over
        self.duration = duration
        self.purpose = purpose
        self.journal = journal or LeaseJournal()
        self._make_connection = connection
        self._changed = threading.Condition()
        self._free = deque(hosts)
        self._busy: set[Host] = set()
        self._failed: dict[Host, str] = {}

    def provisioner(self) -> Provisioner:
        """A new provisioner, for one machine of the pool."""
        return HostProvisioner(self)

    def make_connection(self, host: Host) -> Connection:
        """A connection to the host, not connected yet."""
        return self._make_connection(host)

    def take(self, over: threading.Event) -> Host:
        """Waits for a host that is free, the one first that has been so for longest.

        Raises Aborted when `over` is set and wake() called, NoMachine when all hosts have failed.
        """
        with self._changed:
            while not over.is_set():
                if self._free:
                    host = self._free.popleft()
                    self._busy.add(host)
                    return host
                if not self._busy:
                    raise NoMachine(self._reasons())
                self._changed.wait()
            raise Aborted("the reservation was aborted while it waited for a host")

    def wake(self) -> None:
        """Makes those who wait look again."""
        with self._changed:
            self._changed.notify_all()

    def give_back(self, host: Host) -> None:
        """The host is free again."""
        with self._changed:
            self._busy.remove(host)
            self._free.append(host)
            self._changed.notify_all()

    def set_aside(self, host: Host, reason: str) -> None:
        """The host has failed; nobody will get it."""
        with self._changed:
            self._busy.remove(host)
            self._failed[host] = reason
            self._changed.notify_all()

    def _reasons(self) -> str:
        reasons = "".join(f"\n  {reason}" for reason in self._failed.values())
        return f"no host of the pool can be used:{reasons}"


class HostProvisioner(LeasedProvisioner):
    """One machine of a pool. `_lock` guards `_host`."""

    kind: ClassVar[str] = "ssh"
    outlives_lease: ClassVar[bool] = True

    def __init__(self, pool: HostPool) -> None:
        super().__init__(duration=pool.duration, purpose=pool.purpose, journal=pool.journal)
        self._pool = pool
        self._lock = threading.Lock()
        self._host: Host | None = None

    def _reserve(self) -> Machine:
        while True:
            host = self._pool.take(self._over)
            with self._lock:
                self._host = host
            try:
                return self._attempt(
                    _as_resource(host), _key(host, host.slots[0]), take_over=self._pool.take_over
                )
            except LeaseTaken as taken:
                self._let_go(None)
                self._progress("wait", str(taken))
                self._pause(TAKEN_AGAIN)
            except (Aborted, LeaseError):
                self._let_go(None)
                raise
            except ProvisionError as error:
                self._let_go(str(error))
            except BaseException:
                self._let_go(None)
                raise

    def _resource(self) -> dict[str, str]:
        return {}  # each attempt has one of its own

    def _acquire(self, lease: Lease) -> None:
        """It is there already."""

    def _connection(self, lease: Lease) -> Connection:
        return self._pool.make_connection(_as_host(lease.resource))

    def _describe(self, lease: Lease, connection: Connection) -> Machine:
        host = _as_host(lease.resource)
        return Machine(
            name=host.name, connection=connection, python=host.python, slot=host.slots[0]
        )

    def _free(self, lease: Lease) -> None:
        """It stays."""

    @classmethod
    def _of(cls, lease: Lease, journal: LeaseJournal) -> Self:
        return cls(HostPool([_as_host(lease.resource)], journal=journal))

    def keep(self, until: float | None = None, *, prepared: bool = False) -> Lease:
        lease = super().keep(until, prepared=prepared)
        self._let_go(f"{lease.machine} is kept as lease {lease.name}")
        return lease

    def _interrupt(self) -> None:
        self._pool.wake()

    def _ended(self, lease: Lease, failure: BaseException | None) -> None:
        failed = isinstance(failure, ProvisionError) and not isinstance(
            failure, (Aborted, LeaseError)
        )
        self._let_go(str(failure) if failed else None)

    def _let_go(self, failed: str | None) -> None:
        """Gives the host back to the pool, or sets it aside for what failed, unless that is done."""
        with self._lock:
            host, self._host = self._host, None
        if host is None:
            return
        if failed is None:
            self._pool.give_back(host)
        else:
            self._pool.set_aside(host, failed)


def _key(host: Host, slot: str) -> str:
    """What only one lease may have. Who logs in does not matter: a slot is one for all users."""
    return f"ssh {host.address}:{host.port or 22}/{slot}"


def _as_resource(host: Host) -> dict[str, str]:
    told = {"slot": host.slots[0]}
    for field in ("address", "user", "port", "identity", "jump", "python", "name"):
        if value := getattr(host, field):
            told[field] = str(value)
    return told


def _as_host(resource: dict[str, str]) -> Host:
    return msgspec.convert({**resource, "slots": [resource["slot"]]}, Host, strict=False)
