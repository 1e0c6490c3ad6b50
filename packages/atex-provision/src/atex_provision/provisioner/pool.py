"""A fixed set of hosts, each used by one at a time.

`HostPool._changed`, a condition, guards the four collections of hosts. A host is in exactly one of
`_free`, `_busy` and `_failed`, and only the provisioner that took it moves it on.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence

from atex_provision.connection.base import Connection
from atex_provision.connection.ssh import SshConnection
from atex_provision.errors import Aborted, BadHost, NoMachine, ProvisionError
from atex_provision.host import Host
from atex_provision.machine import Machine
from atex_provision.provisioner.base import Provisioner
from atex_provision.provisioner.connecting import ConnectingProvisioner


class HostPool:
    """Hosts that are there already, for any number of threads of this process.

    `provisioner` is a factory: each of its provisioners gets one host to itself. A host that cannot
    be connected to is set aside, and another one is tried.
    """

    def __init__(
        self, hosts: Sequence[Host], *, connection: Callable[[Host], Connection] = SshConnection
    ) -> None:
        """Raises BadHost if there is no host, or one is listed twice."""
        if not hosts:
            raise BadHost("a pool needs at least one host")
        names = [host.name for host in hosts]
        if twice := {name for name in names if names.count(name) > 1}:
            raise BadHost(f"a pool has each host once; listed again: {', '.join(sorted(twice))}")
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


class HostProvisioner(ConnectingProvisioner):
    """One machine of a pool. `_changed` guards `_host`, too."""

    def __init__(self, pool: HostPool) -> None:
        super().__init__()
        self._pool = pool
        self._host: Host | None = None

    def reserve(self) -> Machine:
        self._begin()
        while True:
            host = self._pool.take(self._over)
            with self._changed:
                self._host = host
            try:
                return self._connect(
                    self._pool.make_connection(host),
                    host.name,
                    python=host.python,
                    slot=host.slots[0],
                )
            except Aborted:
                self._give_back()
                raise
            except ProvisionError as error:
                self._drop(str(error))
            except BaseException:
                self._give_back()
                raise

    def _give_back(self) -> None:
        self._pool.wake()
        if host := self._let_go():
            self._pool.give_back(host)

    def _drop(self, reason: str) -> None:
        if host := self._let_go():
            self._pool.set_aside(host, reason)

    def _let_go(self) -> Host | None:
        """The host that is held: it is the caller's to move on, and nobody else's."""
        with self._changed:
            host, self._host = self._host, None
            return host
