"""A stream that is written once, into a file without a name, and read by many while it grows.

Guarantees: all readers get the same bytes, as soon as they are written; every wait of a reader ends with the stream's
end, with its failure, or with `give_up()`.

Threads: one writes, one each reads; any may `fail()`, `close()` and `give_up()`. `changed` guards all that changes, and
nothing is read or written under it.
"""

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import IO

from atex_executor.errors import PackFailed, UploadFailed

_BLOCK = 64 << 10  # bytes; slow lines have a time limit for each (upload.py)


class Spool:
    """The stream. Its file lies in the folder for temporary files (TMPDIR)."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.size = 0
        """Bytes that can be read."""
        self.digest = ""
        """What it is called, when it is complete."""
        self.failure: str | None = None
        """Why there is no more of it."""
        self._file: IO[bytes] | None = None

    def write(self, data: bytes) -> None:
        """Add to the stream. Raises PackFailed where that is not possible, and after `fail()`."""
        with self.changed:
            if self.failure is not None:
                raise PackFailed(self.failure)
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115  # `close()` does
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            where = f"{tempfile.gettempdir()} (TMPDIR)"
            raise PackFailed(f"the tree can not be packed in {where}: {error.strerror}") from error
        with self.changed:
            self.size += len(data)
            self.changed.notify_all()

    def finish(self, digest: str) -> None:
        """It is complete."""
        with self.changed:
            self.digest = digest
            self.changed.notify_all()

    def fail(self, reason: str) -> None:
        """There will be no more of it; the first reason counts."""
        with self.changed:
            self.failure = self.failure or reason
            self.changed.notify_all()

    def close(self) -> None:
        """Let the file go; nobody writes any more. Readers keep what they have of it."""
        with self.changed:
            file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # a full disk: it can not be flushed
                file.close()

    def descriptor(self) -> int:
        """Return a descriptor of the file, which is the caller's; with `changed` held."""
        if self._file is None:
            raise PackFailed(self.failure or "the pack was closed")
        return os.dup(self._file.fileno())


class Reader:
    """Reads a spool, from its beginning."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._given_up = False  # guarded by the spool's `changed`

    def digest(self) -> str:
        """Wait for the whole stream; return its digest. Raises PackFailed, and UploadFailed when given up."""
        self._wait(lambda: bool(self._spool.digest))
        return self._spool.digest

    def blocks(self) -> Iterator[bytes]:
        """Yield it all, in pieces. Raises as `digest()`."""
        self._wait(lambda: self._spool.size > 0)
        with self._spool.changed:
            fd = self._spool.descriptor()
        try:
            position = 0
            while (end := self._more(position)) > position:
                block = os.pread(fd, min(end - position, _BLOCK), position)
                position += len(block)
                yield block
        finally:
            os.close(fd)

    def give_up(self) -> None:
        """End what waits and reads, in whichever thread."""
        with self._spool.changed:
            self._given_up = True
            self._spool.changed.notify_all()

    def _more(self, position: int) -> int:
        """Return how long it is, when it is longer or complete."""
        return self._wait(lambda: self._spool.size > position or bool(self._spool.digest))

    def _wait(self, ready: Callable[[], bool]) -> int:
        """Wait for something; return how long the stream is by then."""
        spool = self._spool
        with spool.changed:
            spool.changed.wait_for(lambda: self._given_up or spool.failure is not None or ready())
            if spool.failure is not None:
                raise PackFailed(spool.failure)
            if self._given_up:
                raise UploadFailed("the upload was given up")
            return spool.size
