"""`LineFile`: lines appended to a file, each of them whole; and how such a file is read, also one that was damaged.

Guarantees: the data of one `append()` is there whole and together with nothing between, or not at all: one write(2),
taken back where the disk takes only a part of it. A torn end, which a killed process left, is cut off first.

Threads: any. `_lock` orders the writes and guards descriptor and length; it is held over one write: its purpose.
"""

import errno
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import msgspec

UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder of msgspec raises for bytes that may be anything."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_LOOK_BACK = 64 * 1024  # bytes


class LineFile:
    """The file at `path`, which is made where it does not exist. All methods raise OSError."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._fd = _open(path)
        self._end = _cut_torn_line(self._fd)

    @property
    def size(self) -> int:
        """Bytes."""
        with self._lock:
            return self._end

    def append(self, data: bytes) -> None:
        """Append whole lines."""
        with self._lock:
            written = os.write(self._fd, data)
            if written < len(data):
                try:
                    os.write(self._fd, data[written:])  # says why
                finally:
                    os.ftruncate(self._fd, self._end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._end += written

    def clear(self) -> None:
        """Remove all lines."""
        with self._lock:
            os.ftruncate(self._fd, 0)
            self._end = 0

    def keep(self, prefixes: tuple[bytes, ...]) -> None:
        """Remove all lines but those that begin with one of `prefixes`. Takes as long as the file is large."""
        beside = f"{self.path}.new"
        with self._lock:
            with open(beside, "wb") as file:
                file.writelines(
                    line for line in whole_lines(self.path) if line.startswith(prefixes)
                )
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
            os.close(self._fd)
            self._fd = _open(self.path)
            self._end = os.fstat(self._fd).st_size

    def close(self) -> None:
        """Close it; what is appended later raises OSError."""
        with self._lock:
            fd, self._fd = self._fd, -1
        os.close(fd)


def whole_lines(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """Yield the lines of a file that end in a line feed; none where there is no file. Raises OSError."""
    try:
        with open(path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield line
    except FileNotFoundError:
        return


def decoded(
    lines: Iterable[bytes],
    decode: Callable[[bytes], _T],
    file: str | os.PathLike[str],
    *,
    wanted: Callable[[bytes], bool] = bool,
) -> Iterator[_T]:
    """Yield what is in `lines` of `file`, in those that are `wanted`.

    One that can not be decoded, as a power cut or a full disk may leave it, is skipped with a warning in the log.
    """
    for number, line in enumerate(lines, start=1):
        if not wanted(line):
            continue
        try:
            value = decode(line)
        except UNDECODABLE as error:
            _log.warning("%s, line %d is skipped: %s", file, number, error)
        else:
            yield value


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def _cut_torn_line(fd: int) -> int:
    """Cut off what follows the last line feed of the file; return its length then."""
    end = os.fstat(fd).st_size
    while end > 0:
        start = max(0, end - _LOOK_BACK)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    os.ftruncate(fd, end)
    return end
