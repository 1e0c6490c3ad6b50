"""The contract of a provisioner: one machine, from the request to the release."""

from abc import ABC, abstractmethod
from types import TracebackType

from atex_provision.machine import Machine


class Provisioner(ABC):
    """Gets one machine, once, and gives it back.

    All methods may be called from any thread. What is held at any moment is stored before anything
    else happens, so that abort() always finds it. As a context manager: the reserved machine
    inside, released afterwards.
    """

    @abstractmethod
    def reserve(self) -> Machine:
        """Waits until a machine is ready, and returns it connected. To be called once.

        Raises Aborted within 5 seconds of abort() or release(), or if one of them came first;
        NoMachine or another ProvisionError if there is none to be had. Whatever it raises, nothing
        is held any more.
        """

    @abstractmethod
    def abort(self) -> None:
        """Frees whatever exists at this moment and ends a reserve() that waits. Total; at any time,
        any number of times.

        Nothing is held when it returns, at the latest after 5 seconds.
        """

    @abstractmethod
    def release(self) -> None:
        """Gives the machine back. Total; may be repeated. Its connection is closed."""

    @abstractmethod
    def alive(self) -> bool:
        """Whether the machine is reserved and answers; asks it, for which it has up to 10
        seconds.
        """

    def __enter__(self) -> Machine:
        return self.reserve()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
