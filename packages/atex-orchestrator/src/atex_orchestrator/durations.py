"""How long tests took in earlier runs: in the user's state folder, a file for each platform, a line for each attempt.

Guarantees: when a process is killed, all that it measured before is there; of several that measure at once none loses
what another one wrote; a line that is torn or says nothing is skipped. A measurement is worth little: what can not be
read or written is said in the log, and the run goes on without.

A file is appended to until most of its lines are old; the next process that reads it writes it anew. Who appends holds
the flock of `.lock` shared, who writes anew holds it alone, and nobody waits for it.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Annotated

import msgspec
from atex_executor.layout import component
from atex_executor.line_file import decoded, whole_lines
from atex_executor.records import readable
from atex_provision import state_folder

OLD_LINES = 1000  # in a file, beyond one for each test, until it is written anew

_log = logging.getLogger(__name__)


class _Measured(msgspec.Struct, frozen=True):
    test: str
    seconds: Annotated[float, msgspec.Meta(ge=0)]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Measured)


class Durations:
    """The measured durations of this user's tests. One thread; other processes may have their own."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder`: by default `durations` in the user's state folder; made when it is needed."""
        self.folder = folder or state_folder() / "durations"
        self._known: dict[str, dict[str, float]] = {}  # by platform and test
        self._unwritten: dict[str, list[_Measured]] = {}  # by platform
        self._is_writable = True

    def seconds(self, platform: str, test: str) -> float | None:
        """Return how long a test takes on a platform; None: nobody measured it.

        The last attempt counts as much as all before it: what fails early once is not taken for short.
        """
        return self._of(platform).get(readable(test))

    def learn(self, platform: str, test: str, seconds: float) -> None:
        """Note how long an attempt took that came to a verdict."""
        measured = _Measured(readable(test), round(seconds, 3))
        _take(self._of(platform), measured)
        if self._is_writable:
            self._unwritten.setdefault(platform, []).append(measured)
            self._write()

    def _of(self, platform: str) -> dict[str, float]:
        if platform not in self._known:
            self._known[platform] = self._read(platform)
        return self._known[platform]

    def _read(self, platform: str) -> dict[str, float]:
        path = self._path(platform)
        try:
            known, lines = _read(path)
            if lines > len(known) + OLD_LINES:
                with self._locked(fcntl.LOCK_EX) as is_mine:
                    if is_mine:
                        known, _ = _read(path)  # once more: others may just have added to it
                        _write_anew(path, known)
        except OSError as error:
            _log.warning("how long tests take is not known: %s", error)
            return {}
        return known

    def _write(self) -> None:
        """Append what is not written yet; while a file is written anew it is left for the next time."""
        try:
            with self._locked(fcntl.LOCK_SH) as is_mine:
                while is_mine and self._unwritten:
                    platform, measured = self._unwritten.popitem()
                    with self._path(platform).open("a+b", buffering=0) as file:
                        file.write(_torn_end(file) + _encoder.encode_lines(measured))
        except OSError as error:
            _log.warning("how long tests take is not kept: %s", error)
            self._is_writable = False

    @contextmanager
    def _locked(self, kind: int) -> Iterator[bool]:
        """Hold the lock where it is free; yields whether it is. Raises OSError."""
        lock = self._open_lock()
        try:
            try:
                fcntl.flock(lock, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(lock)

    def _open_lock(self) -> int:
        path, flags = self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o644)
        except FileNotFoundError:
            self.folder.mkdir(parents=True, exist_ok=True)
            return os.open(path, flags, 0o644)

    def _path(self, platform: str) -> Path:
        return self.folder / component(f"{platform}.jsonl")


def _take(known: dict[str, float], measured: _Measured) -> None:
    before = known.get(measured.test, measured.seconds)
    known[measured.test] = (before + measured.seconds) / 2


def _read(path: Path) -> tuple[dict[str, float], int]:
    """Return what a file says, and in how many lines. Raises OSError."""
    known: dict[str, float] = {}
    count = 0
    lines = decoded(whole_lines(path), _decoder.decode, path)
    for count, measured in enumerate(lines, start=1):  # noqa: B007
        _take(known, measured)
    return known, count


def _torn_end(file: FileIO) -> bytes:
    """Return what ends a line that a full disk has torn, so that the next one is whole. Raises OSError."""
    end = file.seek(0, os.SEEK_END)
    return b"\n" if end and os.pread(file.fileno(), 1, end - 1) != b"\n" else b""


def _write_anew(path: Path, known: dict[str, float]) -> None:
    """Replace a file by one that says the same in a line a test. Raises OSError."""
    beside = path.with_name(".new")  # one writer at a time holds the lock
    beside.write_bytes(_encoder.encode_lines([_Measured(*item) for item in known.items()]))
    beside.replace(path)
