"""`FolderSink`: the one writer of run folders (docs/results.md).

Guarantees:

- The lines of one `records()` are there whole and together, or not at all: one write(2), taken back where the disk
  takes only a part of it.
- What was written survives the death of this process at once, and a power cut after about a second, or as soon as
  `sync()` or `close()` has returned.

Threads: one daemon thread syncs, a second after the first write that is not synced. `_tail` orders the writes to
results.jsonl and guards its descriptor and its length `_end`; it is held over that one write, which is its purpose.
`_lock` guards `_dirty` and `_failure`; nothing is waited for under it.
"""

import errno
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from atex_executor.errors import FileRefused, SinkError, SinkFull
from atex_executor.sink import Sink

_SYNC_AFTER = 1.0  # seconds
_MANY_FILES = 500  # so many are synced faster by sync(2)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
    errno.EMLINK,
    errno.ELOOP,
)
_LOOK_BACK = 64 * 1024  # bytes

_encoder = msgspec.json.Encoder()


class FolderSink(Sink):
    """Writes `results.jsonl` and `files/` into `folder`, which is made where it does not exist.

    A results.jsonl that is there already is continued; what follows its last line feed is cut off. Raises SinkError
    where the folder can not be written. A context manager: leaving it closes.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(os.path.abspath(folder))
        self._files = str(self.folder / "files")
        self._results_path = str(self.folder / "results.jsonl")
        self._tail = threading.Lock()
        self._lock = threading.Lock()
        self._dirty: set[str] = set()  # absolute paths of what is to be synced, folders too
        self._failure: OSError | None = (
            None  # of syncing: what was taken may be lost, so no more is taken
        )
        self._unsynced = threading.Event()
        self._closed = threading.Event()
        try:
            os.makedirs(self._files, exist_ok=True)
            self._results = os.open(
                self._results_path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
            )
            self._end = _cut_torn_line(self._results)
        except OSError as error:
            raise SinkError(
                f"no results can be written to {self.folder}: {error.strerror}"
            ) from error
        self._syncer = threading.Thread(
            target=self._sync_behind, name=f"atex-sync {self.folder}", daemon=True
        )
        self._syncer.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def records(self, lines: Sequence[Mapping[str, Any]]) -> None:
        data = _encoder.encode_lines(lines)
        with self._tail:
            self._check()
            try:
                self._append(data)
            except OSError as error:
                raise _translated(error, self._results_path) from error
        self._changed(self._results_path)

    def _append(self, data: bytes) -> None:
        written = os.write(self._results, data)
        if written < len(data):
            os.ftruncate(self._results, self._end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._end += written

    def write(self, path: str, offset: int, data: bytes) -> None:
        self._check()
        full = self._full(path)
        try:
            fd = self._open(full)
            try:
                rest = memoryview(data)
                while rest:
                    written = os.pwrite(fd, rest, offset)
                    rest = rest[written:]
                    offset += written
            finally:
                os.close(fd)
        except OSError as error:
            raise _translated(error, full) from error
        self._changed(full)

    def _open(self, full: str) -> int:
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(full, flags)
        except FileNotFoundError:
            self._make_folder_of(full)
            return os.open(full, flags | os.O_CREAT, 0o644)

    def _make_folder_of(self, full: str) -> None:
        folder = os.path.dirname(full)
        os.makedirs(folder, exist_ok=True)
        while len(folder) >= len(self._files):
            self._changed(folder)
            folder = os.path.dirname(folder)

    def link(self, existing: str, path: str) -> bool:
        self._check()
        full = self._full(path)
        try:
            self._make_folder_of(full)
            os.link(self._full(existing), full)
        except FileExistsError as error:
            if self.same_file(existing, path):
                return False
            raise _translated(error, full) from error
        except OSError as error:
            raise _translated(error, full) from error
        return True

    def same_file(self, one: str, other: str) -> bool:
        try:
            return os.path.samefile(self._full(one), self._full(other))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise _translated(error, self._full(one)) from error

    def length(self, path: str) -> int | None:
        full = self._full(path)
        try:
            return os.lstat(full).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _translated(error, full) from error

    def cut(self, path: str, length: int) -> None:
        self._check()
        full = self._full(path)
        try:
            os.truncate(full, length)
        except OSError as error:
            raise _translated(error, full) from error
        self._changed(full)

    def remove(self, path: str) -> None:
        self._check()
        full = self._full(path)
        try:
            os.unlink(full)
        except OSError as error:
            raise _translated(error, full) from error

    def sync(self) -> None:
        """Return when all that was written before is safe from a power cut. Raises SinkError where it is not."""
        with self._lock:
            dirty, self._dirty = self._dirty, set()
        try:
            if len(dirty) > _MANY_FILES:
                os.sync()
            else:
                for path in dirty:
                    _sync(path)
        except OSError as error:
            with self._lock:
                self._failure = error
        self._check_failure()

    def close(self) -> None:
        """Sync and close. Raises SinkError where syncing failed, and is closed then as well."""
        with self._tail:
            if self._closed.is_set():
                return
            self._closed.set()
            os.close(self._results)
        self._unsynced.set()
        self._syncer.join()
        self.sync()

    def _full(self, path: str) -> str:
        return f"{self._files}/{path}"

    def _check(self) -> None:
        if self._closed.is_set():
            raise SinkError(f"{self.folder} is closed, no result can be added")
        self._check_failure()

    def _check_failure(self) -> None:
        with self._lock:
            failure = self._failure
        if failure is not None:
            raise _translated(failure, str(self.folder)) from failure

    def _changed(self, full: str) -> None:
        with self._lock:
            self._dirty.add(full)
        self._unsynced.set()

    def _sync_behind(self) -> None:
        while not self._closed.is_set():
            self._unsynced.wait()
            self._closed.wait(_SYNC_AFTER)
            self._unsynced.clear()
            try:
                self.sync()
            except SinkError:
                return  # the next who writes is told


def _translated(error: OSError, path: str) -> SinkError:
    if error.errno in _FULL:
        return SinkFull(f"no room for results: {path}: {error.strerror}")
    if error.errno in _REFUSED:
        return FileRefused(f"{path}: {error.strerror}")
    return SinkError(f"a result can not be written: {path}: {error.strerror}")


def _sync(path: str) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return  # removed since
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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
