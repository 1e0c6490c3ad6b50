"""Machines that are trouble."""

import itertools
import threading
from collections.abc import Callable

from atex_provision import (
    Aborted,
    Lease,
    LeasedProvisioner,
    LocalProvisioner,
    Machine,
    NoMachine,
    Provisioner,
    ProvisionError,
)

LIMIT = 30.0  # seconds

_numbers = itertools.count(1)


class Refusing(Provisioner):
    """There is no machine."""

    def __init__(self, reason: str = "it is broken") -> None:
        self._reason = reason

    def reserve(self) -> Machine:
        raise NoMachine(self._reason)

    def abort(self) -> None:
        pass

    def release(self) -> None:
        pass

    def alive(self) -> bool:
        return False


class Endless(Refusing):
    """The machine never comes; `waiting` is set when somebody waits for it."""

    def __init__(self, waiting: threading.Event) -> None:
        super().__init__()
        self._waiting = waiting
        self._aborted = threading.Event()

    def reserve(self) -> Machine:
        self._waiting.set()
        if not self._aborted.wait(LIMIT):
            raise NoMachine("nobody aborted this")
        raise Aborted("aborted")

    def abort(self) -> None:
        self._aborted.set()


class Deaf(Endless):
    """The machine never comes, and abort() helps only when the test is over: set `over`."""

    def __init__(self, waiting: threading.Event, over: threading.Event) -> None:
        super().__init__(waiting)
        self._aborted = over

    def abort(self) -> None:
        pass


class Broken(Refusing):
    """A provisioner with a bug."""

    def reserve(self) -> Machine:
        raise KeyError("a bug")


class Fresh(LocalProvisioner):
    """This machine under a name of its own each time, as if it were another one."""

    def reserve(self) -> Machine:
        machine = super().reserve()
        machine.name = f"fresh-{next(_numbers)}"
        return machine


class Watched(LocalProvisioner):
    """This machine; tells when it was given back."""

    def __init__(self, released: Callable[[], None]) -> None:
        super().__init__()
        self._released = released

    def release(self) -> None:
        super().release()
        self._released()


class Keepable(LocalProvisioner):
    """This machine, as if it were one that can be kept."""

    def keep(self, until: float | None = None, *, prepared: bool = False) -> Lease:
        return LeasedProvisioner.keep(self, until, prepared=prepared)


class Slow(LocalProvisioner):
    """This machine; the service that would keep it does not answer."""

    def keep(self, until: float | None = None, *, prepared: bool = False) -> Lease:
        raise TimeoutError("the service does not answer")


class Prepared(LocalProvisioner):
    """This machine, as if somebody had prepared it."""

    def reserve(self) -> Machine:
        machine = super().reserve()
        machine.prepared = True
        return machine


class Talkative(LocalProvisioner):
    """This machine; says more than once what it waits for."""

    def _acquire(self, lease: Lease) -> None:
        for place in (2, 2, 1, 1):
            self._progress("wait", f"number {place} in the queue")
        super()._acquire(lease)


class Sticky(LocalProvisioner):
    """This machine, which is never given back."""

    def _free(self, lease: Lease) -> None:
        super()._free(lease)
        raise ProvisionError("the service is down")
