"""This very machine.

`_Slots._lock` guards which slots are taken in this process; `LocalProvisioner._changed` guards the
one that it holds.
"""

import itertools
import threading

from atex_provision.connection.local import LocalConnection
from atex_provision.facts import local_context
from atex_provision.machine import Machine, Platform
from atex_provision.provisioner.connecting import ConnectingProvisioner


class _Slots:
    """The slots of this machine that this process uses."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[int] = set()

    def take(self) -> int:
        with self._lock:
            slot = next(number for number in itertools.count() if number not in self._taken)
            self._taken.add(slot)
            return slot

    def give_back(self, slot: int) -> None:
        with self._lock:
            self._taken.discard(slot)


_slots = _Slots()


class LocalProvisioner(ConnectingProvisioner):
    """Hands out the machine that this process runs on. Tests do run here, with all they do to a
    machine. Several at a time get slots "0", "1" ... of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._slot: int | None = None

    def reserve(self) -> Machine:
        self._begin()
        with self._changed:
            self._check_over()
            slot = self._slot = _slots.take()
        try:
            return self._connect(LocalConnection(), "local", slot=str(slot))
        except BaseException:
            self._give_back()
            raise

    def _give_back(self) -> None:
        with self._changed:
            slot, self._slot = self._slot, None
        if slot is not None:
            _slots.give_back(slot)


def local_platform() -> Platform:
    """The platform that this machine is, by its own os-release."""
    return Platform("local", local_context())
