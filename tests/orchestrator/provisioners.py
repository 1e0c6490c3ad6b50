"""Machines that are trouble."""

import itertools
import threading
from collections.abc import Callable

from atex_provision import Aborted, LocalProvisioner, Machine, NoMachine, Provisioner

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
