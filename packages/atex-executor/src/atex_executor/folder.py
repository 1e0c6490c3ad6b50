"""`FolderSink`: the one writer of run folders (docs/results.md).

Guarantees:

- The lines of one `records()` are there whole and together, or not at all, and so are those of one `journal()`.
- What was written survives the death of this process at once, and a power cut after about a second, or as soon as
  `sync()` or `close()` has returned.

Threads: any; those of syncing.py, journal_file.py and line_file.py guard what changes.
"""

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from atex_executor.errors import FileRefused, SinkError, SinkFull
from atex_executor.journal import JOURNAL
from atex_executor.journal_file import JournalFile
from atex_executor.line_file import LineFile
from atex_executor.resume import RESULTS, read_journal
from atex_executor.sink import Sink
from atex_executor.syncing import Syncer

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
)

_encoder = msgspec.json.Encoder()


class FolderSink(Sink):
    """Writes `results.jsonl`, `partial.jsonl` and `files/` into `folder`, which is made where it does not exist.

    What is there already is continued; a torn line at the end of the first two is cut off. Raises SinkError where the
    folder can not be written. A context manager: leaving it closes.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(os.path.abspath(folder))
        self._files = str(self.folder / "files")
        self._closed = False
        try:
            os.makedirs(self._files, exist_ok=True)
            self._results = LineFile(str(self.folder / RESULTS))
            attempts = [attempt.begun.folder for attempt in read_journal(self.folder)]
            self._journal = JournalFile(str(self.folder / JOURNAL), attempts)
        except OSError as error:
            raise SinkError(
                f"no results can be written to {self.folder}: {error.strerror}"
            ) from error
        self._syncer = Syncer(str(self.folder))
        self._syncer.changed(str(self.folder))

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
        self._check()
        with _translating(self._results.path):
            self._results.append(data)
        self._syncer.changed(self._results.path)

    def journal(self, attempt: str, lines: Sequence[Any]) -> None:
        self._check()
        with _translating(self._journal.path):
            self._journal.append(attempt, lines)
        self._syncer.changed(self._journal.path)

    def journaled(self, attempt: str) -> Iterator[bytes]:
        with _translating(self._journal.path):
            yield from self._journal.lines(attempt)

    def forget(self, attempt: str) -> None:
        self._check()
        with _translating(self._journal.path):
            self._journal.forget(attempt)

    def write(self, path: str, offset: int, data: bytes) -> None:
        self._check()
        full = self._full(path)
        with _translating(full):
            fd = self._open(full)
            try:
                rest = memoryview(data)
                while rest:
                    written = os.pwrite(fd, rest, offset)
                    rest = rest[written:]
                    offset += written
            finally:
                os.close(fd)
        self._syncer.changed(full)

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
            self._syncer.changed(folder)
            folder = os.path.dirname(folder)

    def link(self, existing: str, path: str) -> bool:
        self._check()
        full = self._full(path)
        with _translating(full):
            self._make_folder_of(full)
            try:
                os.link(self._full(existing), full)
            except FileExistsError:
                if self.same_file(existing, path):
                    return False
                raise
            except OSError as error:
                if error.errno != errno.EMLINK:
                    raise
                self._link_by_name(existing, full)
        return True

    def _link_by_name(self, existing: str, full: str) -> None:
        """The file has as many names as its file system allows (65,000 on ext4): make a symbolic link."""
        os.symlink(os.path.relpath(self._full(existing), os.path.dirname(full)), full)

    def same_file(self, one: str, other: str) -> bool:
        with _translating(self._full(one)):
            try:
                return os.path.samefile(self._full(one), self._full(other))
            except (FileNotFoundError, NotADirectoryError):
                return False

    def length(self, path: str) -> int | None:
        full = self._full(path)
        with _translating(full):
            try:
                found = os.lstat(full)
            except (FileNotFoundError, NotADirectoryError):
                return None
        return None if stat.S_ISDIR(found.st_mode) else found.st_size

    def files(self, folder: str) -> Iterator[str]:
        for inner, _, names in os.walk(self._full(folder)):
            yield from (os.path.join(inner, name)[len(self._files) + 1 :] for name in names)

    def cut(self, path: str, length: int) -> None:
        self._check()
        full = self._full(path)
        with _translating(full):
            os.truncate(full, length)
        self._syncer.changed(full)

    def remove(self, path: str) -> None:
        self._check()
        full = self._full(path)
        with _translating(full):
            os.unlink(full)

    def sync(self) -> None:
        with _translating(str(self.folder)):
            self._syncer.sync()

    def close(self) -> None:
        """Sync and close. Raises SinkError where syncing failed, and is closed then as well."""
        if self._closed:
            return
        self._closed = True
        self._results.close()
        self._journal.close()
        with _translating(str(self.folder)):
            self._syncer.close()

    def _full(self, path: str) -> str:
        return f"{self._files}/{path}"

    def _check(self) -> None:
        if self._closed:
            raise SinkError(f"{self.folder} is closed, no result can be added")
        try:
            self._syncer.check()
        except OSError as error:
            raise _translated(error, str(self.folder)) from error


@contextmanager
def _translating(path: str) -> Iterator[None]:
    """Raise a SinkError that names `path` for an OSError."""
    try:
        yield
    except OSError as error:
        raise _translated(error, path) from error


def _translated(error: OSError, path: str) -> SinkError:
    if error.errno in _FULL:
        return SinkFull(f"no room for results: {path}: {error.strerror}")
    if error.errno in _REFUSED:
        return FileRefused(f"{path}: {error.strerror}")
    return SinkError(f"a result can not be written: {path}: {error.strerror}")
