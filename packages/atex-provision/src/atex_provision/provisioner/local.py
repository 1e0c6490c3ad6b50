"""This very machine.

`_Slots._lock` guards which slots are taken in this process, and by which lease.
"""

import itertools
import threading
from typing import ClassVar, Self

from atex_provision.connection.base import Connection
from atex_provision.connection.local import LocalConnection
from atex_provision.errors import ProvisionError
from atex_provision.facts import local_context
from atex_provision.leases.journal import LeaseJournal
from atex_provision.leases.lease import Lease
from atex_provision.machine import Machine, Platform
from atex_provision.provisioner.leased import LeasedProvisioner


class _Slots:
    """The slots of this machine that this process uses."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[str, int] = {}

    def take(self, lease: str) -> int:
        """One that is free."""
        with self._lock:
            taken = self._taken.values()
            slot = next(number for number in itertools.count() if number not in taken)
            self._taken[lease] = slot
            return slot

    def take_over(self, lease: str, slot: int) -> None:
        """The one that the process had that the lease was adopted from."""
        with self._lock:
            self._taken[lease] = slot

    def give_back(self, lease: str) -> None:
        with self._lock:
            self._taken.pop(lease, None)


_slots = _Slots()


class LocalProvisioner(LeasedProvisioner):
    """Hands out the machine that this process runs on. Tests do run here, with all they do to a
    machine. Several at a time get slots "0", "1" ... of it.
    """

    kind: ClassVar[str] = "local"
    outlives_lease: ClassVar[bool] = True

    def _resource(self) -> dict[str, str]:
        return {}

    def _acquire(self, lease: Lease) -> None:
        self._learn(slot=str(_slots.take(lease.name)))

    def _connection(self, lease: Lease) -> Connection:
        return LocalConnection()

    def _describe(self, lease: Lease, connection: Connection) -> Machine:
        slot = lease.resource.get("slot", "0")
        return Machine(name=connection.name, connection=connection, slot=slot)

    def _take(self, lease: Lease, *, ours: bool) -> None:
        super()._take(lease, ours=ours)
        slot = lease.resource.get("slot", "")
        if ours and slot.isdecimal():
            _slots.take_over(lease.name, int(slot))

    def _free(self, lease: Lease) -> None:
        _slots.give_back(lease.name)

    def keep(self, until: float | None = None, *, prepared: bool = False) -> Lease:
        raise ProvisionError("this very machine need not be kept: it stays anyway")

    @classmethod
    def _of(cls, lease: Lease, journal: LeaseJournal) -> Self:
        return cls(journal=journal)


def local_platform() -> Platform:
    """The platform that this machine is, by its own os-release."""
    return Platform("local", local_context())
