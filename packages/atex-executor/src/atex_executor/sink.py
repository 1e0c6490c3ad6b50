"""Where results go."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


class Sink(ABC):
    """Takes what the machines of a run send. Paths are those of layout.py, below `files/`.

    All methods may be called by many threads at once; two that write to the same file agree on offsets. They raise
    SinkError (SinkFull and FileRefused among them) and nothing else. Once a method has returned, the death of this
    process does not lose what it was given.
    """

    @abstractmethod
    def records(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Append `lines` to the results, in order, with nothing between them; all of them or none."""

    @abstractmethod
    def write(self, path: str, offset: int, data: bytes) -> None:
        """Write `data` at `offset` bytes from the beginning of a file, which is made where it does not exist."""

    def output(self, path: str, offset: int, data: bytes) -> None:
        """Write stdout and stderr of a test or a phase: `write()`, unless overridden by who shows it live."""
        self.write(path, offset, data)

    @abstractmethod
    def link(self, existing: str, path: str) -> bool:
        """Give the file `existing` the further name `path`; return whether it did not have it already.

        Raises FileRefused where another file has that name.
        """

    @abstractmethod
    def same_file(self, one: str, other: str) -> bool:
        """Return whether two names are those of one file; False where one of them does not exist."""

    @abstractmethod
    def length(self, path: str) -> int | None:
        """Return how many bytes a file has; None where there is none, or a folder of that name."""

    @abstractmethod
    def cut(self, path: str, length: int) -> None:
        """Keep only the first `length` bytes of a file."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove a file that belongs to no result after all."""

    @abstractmethod
    def files(self, folder: str) -> Iterator[str]:
        """Yield the paths of all files in a folder and below it; none where it does not exist."""

    @abstractmethod
    def journal(self, attempt: str, lines: Sequence[Any]) -> None:
        """Append `lines`, what msgspec encodes, to the journal of an attempt that is not closed; all or none.

        `attempt` is its folder.
        """

    @abstractmethod
    def journaled(self, attempt: str) -> Iterator[bytes]:
        """Yield the lines of an attempt's journal, encoded, each as a pair of `attempt` and what was given."""

    @abstractmethod
    def forget(self, attempt: str) -> None:
        """The attempt is closed, and its journal not needed any more."""

    @abstractmethod
    def sync(self) -> None:
        """Return when all that was written before is safe from a power cut."""

    @abstractmethod
    def close(self) -> None:
        """Make everything safe on disk; nothing may follow. A second time nothing happens."""
