"""Reads trees and makes the stream of a pack (`atex_sut_agent/sut/packing.py`) of them.

Left out are `.git`, sockets, pipes and devices, run folders (which hold `results.jsonl` and `files/`: results often
lie in the tree whose tests they are of, and grow meanwhile), and what patterns say. All else goes with its mode, and
files with their times, so that equal trees make equal streams. (The time of a folder says when somebody wrote into it,
results for instance.)

A file that somebody writes to meanwhile is packed as it was at one moment: it is read when it has not been touched for
a moment, and is not touched then; or it holds the same when it is read again, or more (a log), and what comes later is
left out. One that does not come to rest is an error. What is gone before it is read is left out.
"""

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping

from atex_sut_agent.sut.packing import END, ENTRY, MAGIC, MAX_NAME

from atex_executor.exclude import Exclusion

_BLOCK = 1 << 20  # bytes; a file that is smaller is read at once
_FLUSH = 256 << 10  # bytes
_TRIES = 5
_LATEST = (1 << 63) - 1  # ns, in the year 2262: the last time that has room in a pack
_REST = 0.02  # seconds; the times of files move in steps of 10 ms at most


def pack_trees(
    trees: Mapping[str, str], exclusion: Exclusion, emit: Callable[[bytes], None]
) -> bytes:
    """Pack folders, each to lie at the place that is its key, and let `emit` have the stream; return its sha256.

    Raises OSError with the name of what can not be read or does not come to rest, and what `emit` raises.
    """
    packer = _Packer(exclusion, emit)
    for place, root in trees.items():
        packer.add(os.fsencode(place), os.path.realpath(os.fsencode(root), strict=True))
    return packer.finish()


class _Packer:
    def __init__(self, exclusion: Exclusion, emit: Callable[[bytes], None]) -> None:
        self._exclusion = exclusion
        self._emit = emit
        self._pending = [MAGIC]
        self._size = len(MAGIC)
        self._sha256 = hashlib.sha256()
        self._places: set[bytes] = {b""}

    def add(self, place: bytes, root: bytes) -> None:
        """Add a tree. Raises as `pack_trees()`."""
        above = os.path.dirname(place)
        if above not in self._places:
            self._places.add(above)
            self._entry(stat.S_IFDIR | 0o755, above)
        top = len(place) + 1
        folders = [(root, place)]
        while folders:
            path, name = folders.pop()
            try:
                entries = sorted(os.scandir(path), key=lambda entry: entry.name)
                mode = os.stat(path).st_mode
            except FileNotFoundError:
                if path == root:
                    raise
                continue
            if path != root and _is_run_folder(entries):
                continue
            self._entry(mode, name)
            for entry in entries:
                own = b"%s/%s" % (name, entry.name)
                is_folder = entry.is_dir(follow_symlinks=False)
                if entry.name == b".git" or self._is_left_out(own[top:], is_folder):
                    continue
                if is_folder:
                    folders.append((entry.path, own))
                else:
                    self._leaf(entry, own)

    def finish(self) -> bytes:
        """Return the sha256, which is emitted, too."""
        self._put(END)
        self._flush()
        digest = self._sha256.digest()
        self._emit(digest)
        return digest

    def _is_left_out(self, path: bytes, is_folder: bool) -> bool:
        return self._exclusion.covers(os.fsdecode(path), folder=is_folder)

    def _leaf(self, entry: os.DirEntry[bytes], name: bytes) -> None:
        if entry.is_symlink():
            self._link(entry.path, name)
        elif entry.is_file(follow_symlinks=False):
            self._file(entry.path, name)

    def _link(self, path: bytes, name: bytes) -> None:
        try:
            target = os.readlink(path)
        except FileNotFoundError:
            return
        self._entry(stat.S_IFLNK | 0o777, name, target)

    def _file(self, path: bytes, name: bytes) -> None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            if os.fstat(fd).st_size > _BLOCK:
                self._large_file(fd, path, name)
            else:
                status, data = _read_at_rest(fd, path)
                self._entry(status.st_mode, name, data, status.st_mtime_ns)
        finally:
            os.close(fd)

    def _large_file(self, fd: int, path: bytes, name: bytes) -> None:
        _wait_for_rest(fd)
        status = os.fstat(fd)
        self._head(status.st_mode, name, status.st_size, status.st_mtime_ns)
        contents = hashlib.sha256()
        for block in _blocks(fd, status.st_size, path):
            contents.update(block)
            self._put(block)
        now = os.fstat(fd)
        if now.st_ctime_ns != status.st_ctime_ns:
            again = hashlib.sha256()
            for block in _blocks(fd, status.st_size, path):
                again.update(block)
            if now.st_size < status.st_size or again.digest() != contents.digest():
                raise _changes(path)

    def _entry(self, mode: int, name: bytes, contents: bytes = b"", mtime: int = 0) -> None:
        self._head(mode, name, len(contents), mtime)
        self._put(contents)

    def _head(self, mode: int, name: bytes, size: int, mtime: int) -> None:
        if len(name) > MAX_NAME:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), os.fsdecode(name))
        mtime = max(-_LATEST, min(mtime, _LATEST))
        self._put(ENTRY.pack(mode, len(name), size, mtime) + name)

    def _put(self, data: bytes) -> None:
        self._pending.append(data)
        self._size += len(data)
        if self._size >= _FLUSH:
            self._flush()

    def _flush(self) -> None:
        data = b"".join(self._pending)
        self._pending, self._size = [], 0
        self._sha256.update(data)
        self._emit(data)


def _is_run_folder(entries: list[os.DirEntry[bytes]]) -> bool:
    files = {entry.name for entry in entries if entry.is_file()}
    return b"results.jsonl" in files and any(
        entry.name == b"files" and entry.is_dir() for entry in entries
    )


def _read_at_rest(fd: int, path: bytes) -> tuple[os.stat_result, bytes]:
    """Return what a file is and holds at one moment. Raises OSError where it changes all the time."""
    before: bytes | None = None
    for _ in range(_TRIES):
        status = os.fstat(fd)
        rested = _rests(status)
        data = os.pread(fd, status.st_size, 0)
        if rested and os.fstat(fd).st_ctime_ns == status.st_ctime_ns:
            return status, data
        if before is not None and len(data) > len(before) and data.startswith(before):
            return status, data
        before = data
        time.sleep(_REST)
    raise _changes(path)


def _wait_for_rest(fd: int) -> None:
    """Wait until a file was not touched for a moment, or for some moments."""
    for _ in range(_TRIES):
        if _rests(os.fstat(fd)):
            return
        time.sleep(_REST)


def _rests(status: os.stat_result) -> bool:
    """Was a file not touched for a moment? The times of files move in steps: in the last one much may happen.

    Where the clock was set back meanwhile, those of files that nobody touches lie in the future.
    """
    return not 0 <= time.time_ns() - status.st_ctime_ns <= _REST * 1e9


def _blocks(fd: int, size: int, path: bytes) -> Iterator[bytes]:
    position = 0
    while position < size:
        block = os.pread(fd, min(size - position, _BLOCK), position)
        if not block:
            raise _changes(path)
        position += len(block)
        yield block


def _changes(path: bytes) -> OSError:
    return OSError(errno.EBUSY, "somebody writes to it all the time", os.fsdecode(path))
