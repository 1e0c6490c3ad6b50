"""`JournalFile`: the journals of all open attempts of a run folder, in one file (journal.py).

What is of closed attempts goes: all of it as soon as no attempt is open, and otherwise when the file has become large
and mostly theirs. Any thread; `_lock` guards which attempts are open, and is held over the rewriting of the file only.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from atex_executor.line_file import LineFile, whole_lines

_LARGE = 16 * 1024 * 1024  # bytes

_encoder = msgspec.json.Encoder()


class JournalFile:
    """The file at `path`. `attempts` are those that are open in what is there already. All methods raise OSError."""

    def __init__(self, path: str, attempts: Iterable[str]) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._open = set(attempts)
        self._file = LineFile(path)
        self._kept = self._file.size  # bytes, when it was last rewritten
        if not self._open:
            self._file.clear()

    def append(self, attempt: str, lines: Sequence[Any]) -> None:
        """Append lines about an attempt, which is open from the first of them on."""
        if attempt not in self._open:
            with self._lock:
                self._open.add(attempt)
        self._file.append(_encoder.encode_lines([(attempt, line) for line in lines]))

    def lines(self, attempt: str) -> Iterator[bytes]:
        """Yield the lines about an attempt."""
        prefix = _prefix(attempt)
        return (line for line in whole_lines(self.path) if line.startswith(prefix))

    def forget(self, attempt: str) -> None:
        """The attempt is closed."""
        with self._lock:
            self._open.discard(attempt)
            if not self._open:
                self._file.clear()
                self._kept = 0
            elif self._file.size > _LARGE + 2 * self._kept:
                self._file.keep(tuple(map(_prefix, self._open)))
                self._kept = self._file.size

    def close(self) -> None:
        """Close it; the last call."""
        self._file.close()


def _prefix(attempt: str) -> bytes:
    return b"[" + _encoder.encode(attempt) + b","
