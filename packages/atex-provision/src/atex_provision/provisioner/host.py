"""One host of a pool, from the request to the release.

The lock of a host is its lease: of all processes of this user, one has the lease with the key of a
slot, and a lease whose process is dead locks nothing. `HostQueue` deals the slots out within this
process, so that its threads need not find that out from each other's leases.

`HostProvisioner._lock` guards `_slot` and `_reset`.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar

import msgspec

from atex_provision.connection.base import Connection
from atex_provision.connection.ssh import SshConnection
from atex_provision.errors import Aborted, LeaseError, LeaseTaken, ProvisionError
from atex_provision.host import Host
from atex_provision.leases.journal import LeaseJournal
from atex_provision.leases.lease import Lease
from atex_provision.machine import Machine
from atex_provision.provisioner.connecting import connect_to
from atex_provision.provisioner.holding import NoThread
from atex_provision.provisioner.leased import LeasedProvisioner
from atex_provision.provisioner.queue import HostQueue
from atex_provision.provisioner.reboot import reboot
from atex_provision.provisioner.reset import Reset
from atex_provision.provisioner.roster import Slot
from atex_provision.ssh.config import find_target

P = ParamSpec("P")
T = TypeVar("T")


class HostProvisioner(LeasedProvisioner):
    """A slot of a host; `HostPool` makes them. What fails on one host is tried on another one."""

    kind: ClassVar[str] = "ssh"
    outlives_lease: ClassVar[bool] = True

    def __init__(
        self,
        queue: HostQueue,
        *,
        connection: Callable[[Host], Connection] = SshConnection,
        take_over: bool = False,
        **lease: Any,
    ) -> None:
        """`lease`: what LeasedProvisioner takes."""
        super().__init__(**lease)
        self._queue = queue
        self._lock = threading.Lock()
        self._make_connection = connection
        self._take_over = take_over
        self._slot: Slot | None = None
        self._reset: Reset | None = None

    def keep(self, until: float | None = None, *, prepared: bool = False) -> Lease:
        lease = super().keep(until, prepared=prepared)
        self._move_on(self._queue.lend, f"{lease.machine}: {lease.held_by()}", kept=True)
        return lease

    def _reserve(self) -> Machine:
        while True:
            slot = self._queue.take(self._over, lambda words: self._progress("wait", words))
            with self._lock:
                self._slot = slot
            try:
                machine = self._attempt(self._resource(), _key(slot), take_over=self._take_over)
            except LeaseTaken as taken:
                self._move_on(self._queue.lend, str(taken), kept=taken.other.kept)
            except (Aborted, LeaseError, NoThread):  # none of them is the host's fault
                self._move_on(self._queue.give_back)
                raise
            except ProvisionError as error:
                words = self._move_on(self._queue.set_aside, error)
                self._progress("wait", words or str(error))
            except BaseException:
                self._move_on(self._queue.give_back)
                raise
            else:
                self._queue.succeed(slot)
                return machine

    def _resource(self) -> dict[str, str]:
        return _as_resource(self._held())

    def _acquire(self, lease: Lease) -> None:
        host = self._held().host
        self.boot_time = 0.0  # what another host still had of it is no concern of this one
        if host.reset:
            self._progress("boot", f"resetting {host.name}")
            self._run_reset(host, host.reset)
        if host.reboot:
            self._progress("boot", f"rebooting {host.name}")
            self._run_reboot(lease, host, host.reboot)

    def _run_reset(self, host: Host, command: str) -> None:
        """The host has what is left of the time for coming up."""
        deadline = time.monotonic() + host.reset_time
        reset = Reset(command, _environment(host))
        with self._lock:
            self._reset = reset
        self._check_over()
        try:
            reset.run(host.reset_time)
        except ProvisionError as error:
            self._check_over()
            raise ProvisionError(f"{host.name}: {error}") from error
        self.boot_time = deadline - time.monotonic()

    def _run_reboot(self, lease: Lease, host: Host, command: str) -> None:
        connection = self._connection(lease)
        self._holding.store(connection)
        self._check_over()
        try:
            connect_to(connection, boot_time=self.boot_time, again=self._connect_again)
            reboot(connection, command, host.reboot_time, self._connect_again)
        finally:
            connection.close()

    def _connection(self, lease: Lease) -> Connection:
        return self._make_connection(_as_host(lease.resource))

    def _describe(self, lease: Lease, connection: Connection) -> Machine:
        host = _as_host(lease.resource)
        return Machine(
            name=host.name, connection=connection, python=host.python, slot=host.slots[0]
        )

    def _free(self, lease: Lease) -> None:
        """The host stays as it is; it is the lease that kept others away."""

    @classmethod
    def _of(cls, lease: Lease, journal: LeaseJournal) -> Self:
        return cls(HostQueue([_as_host(lease.resource)], pause=0), journal=journal)

    def _interrupt(self) -> None:
        self._queue.wake()
        with self._lock:
            reset = self._reset
        if reset is not None:
            reset.cancel()

    def _ended(self, lease: Lease, failure: BaseException | None) -> None:
        # After an attempt that failed, whoever made it says what becomes of the slot.
        if failure is None:
            self._move_on(self._queue.give_back)

    def _held(self) -> Slot:
        with self._lock:
            slot = self._slot
        if slot is None:
            raise ProvisionError("no host is reserved")
        return slot

    def _move_on(
        self, to: Callable[Concatenate[Slot, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T | None:
        """Says once what becomes of the slot that is held, if one is: `to(slot, ...)`."""
        with self._lock:
            slot, self._slot = self._slot, None
        return None if slot is None else to(slot, *args, **kwargs)


def _key(slot: Slot) -> str:
    """What the leases of a slot have in common: a slot is one for all users of the host. Raises
    BadConfiguration.
    """
    return f"ssh {find_target(slot.host).place}/{slot.name}"


def _as_resource(slot: Slot) -> dict[str, str]:
    told = {"slot": slot.name}
    for field in ("name", "address", "user", "port", "identity", "jump", "python"):
        if value := getattr(slot.host, field):
            told[field] = str(value)
    return told


def _as_host(resource: dict[str, str]) -> Host:
    return msgspec.convert({**resource, "slots": [resource["slot"]]}, Host, strict=False)


def _environment(host: Host) -> dict[str, str]:
    """What a command that resets the host is told of it. Raises BadConfiguration."""
    target = find_target(host)
    return {
        "ATEX_HOST": host.name,
        "ATEX_ADDRESS": target.address,
        "ATEX_PORT": str(target.port),
        "ATEX_USER": target.user,
    }
