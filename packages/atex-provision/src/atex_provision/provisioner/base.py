"""The contract of a provisioner: one machine, from the request to the release."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Literal

from atex_provision.errors import ProvisionError
from atex_provision.leases.lease import Lease, SessionNote
from atex_provision.machine import Machine, Platform

Moment = Literal["request", "wait", "boot", "connect"]
"""Where a reservation is: before it asks, while it waits (in a queue, for a free host), while the
machine boots, while it is being connected to.
"""


def _ignore(moment: Moment, words: str) -> None:
    """Nobody wants to know."""


class Provisioner(ABC):
    """Gets one machine, once, and gives it back.

    All methods may be called from any thread. What is held at any moment is stored before anything
    else happens, so that abort() always finds it. As a context manager: the reserved machine
    inside, released afterwards.
    """

    on_progress: Callable[[Moment, str], None] = staticmethod(_ignore)
    """Told where the reservation is, with words for humans; to be set before reserve(). It is called
    in the thread of the reservation, which need not be the one that called reserve(), and may call
    abort(). Not called any more after reserve() has returned or raised.
    """

    platform: Platform | None = None
    """What the machine is taken for; to be set before reserve(). Its lease says it to others."""

    @property
    def left(self) -> str | None:
        """After abort() or release(): why something may still be held; None if nothing is."""
        return None

    @abstractmethod
    def reserve(self) -> Machine:
        """Waits until a machine is ready, and returns it connected. To be called once.

        Raises Aborted within 5 seconds of abort() or release(), or if one of them came first;
        NoMachine or another ProvisionError if there is none to be had. Whatever it raises, nothing
        is held any more, unless `left` says so.
        """

    @abstractmethod
    def abort(self) -> None:
        """Frees whatever exists at this moment and ends a reserve() that waits. Total; at any time,
        any number of times.

        Returns within 5 seconds. Nothing is held then, unless `left` says so.
        """

    @abstractmethod
    def release(self) -> None:
        """Gives the machine back. Total; may be repeated, which tries again what failed. Its
        connection is closed.
        """

    @abstractmethod
    def alive(self) -> bool:
        """Whether the machine is reserved, its lease has not ended, and it answers; asks it, for
        which it has up to 10 seconds.
        """

    def note_session(self, note: SessionNote) -> None:  # noqa: B027 (a default: nothing)
        """The session of an agent begins on the machine: whoever finds its lease after a crash
        shall end it. To be called before the session is begun, or by who goes on with that of a dead
        process. Raises ProvisionError.
        """

    def forget_session(self, session: str) -> None:  # noqa: B027
        """The session of this id has ended. Raises ProvisionError."""

    def keep(self, until: float | None = None, *, prepared: bool = False) -> Lease:
        """Leaves the machine reserved although this process may end: until the end of its lease, or
        `until` (seconds since the epoch) if that comes first. release() and abort() then only close
        the connection. Returns the lease, by whose name the machine is found again; `prepared` is
        written into it.

        Raises ProvisionError where that is not possible, or no machine is reserved.
        """
        raise ProvisionError(f"{type(self).__name__} cannot keep a machine beyond its process")

    def __enter__(self) -> Machine:
        return self.reserve()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
