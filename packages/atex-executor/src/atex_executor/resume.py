"""What a run folder says about attempts that a killed process left open.

Read from partial.jsonl, and from results.jsonl, which says what was recorded. Both are read as streams; what is kept
is about open attempts only.
"""

import os
from collections.abc import Iterable
from functools import partial
from operator import methodcaller
from pathlib import Path

import msgspec

from atex_executor.held import HeldResults
from atex_executor.journal import (
    JOURNAL,
    AddedTest,
    Announced,
    Attempt,
    Closed,
    Fault,
    Held,
    Line,
    Listed,
    Marked,
    Refused,
    Restarted,
    decode_line,
)
from atex_executor.layout import result_file
from atex_executor.line_file import decoded, whole_lines

RESULTS = "results.jsonl"

_encode = msgspec.json.Encoder().encode


class OpenAttempt:
    """An attempt that was begun and not closed. Its records, files and journal are in the run folder.

    The attributes below the second line are the Recorder's.
    """

    def __init__(self, begun: Attempt, *, resumed: bool = True) -> None:
        self.begun = begun
        self.resumed = resumed
        """Has another process begun it?"""
        self.incarnation = begun.incarnation
        """Of the agent that was told last to start it."""
        self.restarts = 0
        """How often it was started again."""
        self.announced: Announced | None = None
        """The restart that it has announced, until it is started again."""
        self.marks: dict[str, str] = {}
        self.added: list[AddedTest] = []
        # -----
        self.held = HeldResults()
        self.held_until = 0
        """Results up to this number are held, if they are for holding."""
        self.recorded_until = 0
        """Results up to this number are recorded, if they are not for holding."""
        self.results = 0
        """That the test had sent when it announced a restart last."""
        self.links: dict[tuple[int, str, str], bool] = {}
        """Names of the output (number and name of the result, name of the file) that no result lists yet, and whether
        the result is for holding.
        """
        self.refused: set[tuple[str, str]] = set()
        self.fault: str | None = None
        self.closed: list[str] = []
        """Names of what is recorded, which the journal does not know yet."""

    def take(self, line: Line) -> None:
        """Take a line of its journal."""
        match line:
            case Held() | Closed() | Listed():
                self._take_result(line)
            case Refused():
                self.refused.add((line.name, line.file))
            case Fault():
                self.fault = self.fault or line.reason
            case Announced():
                self.announced = line
                self.results = line.results
            case Restarted():
                self.announced = None
                self.restarts, self.incarnation = line.number, line.incarnation
            case Marked():
                self.marks[line.name] = line.value
            case AddedTest():
                self.added.append(line)

    def _take_result(self, line: Held | Closed | Listed) -> None:
        if isinstance(line, Held):
            self._hold(line)
        elif isinstance(line, Closed):
            self.held.release(line.name)
        elif line.link is not None:
            self.links[line.n, line.name, line.link] = line.held

    def _hold(self, line: Held) -> None:
        names = [*line.new, *([] if line.link is None else [line.link])]
        files = [result_file(self.begun.folder, line.name, name) for name in names]
        self.held.hold(line.n, line.name, line.result, files)
        self.held_until = line.n

    def take_record(self, n: int, name: str) -> None:
        """Take word of a record in results.jsonl, after all lines of the journal."""
        self.recorded_until = max(self.recorded_until, n)
        held = self.held.named.get(name)
        if held is not None and n >= held.n:
            self.held.release(name)
            self.closed.append(name)

    def settle(self) -> None:
        """All is read."""
        self.links = {
            link: held
            for link, held in self.links.items()
            if link[0] > (self.held_until if held else self.recorded_until)
        }


class _Record(msgspec.Struct):
    n: int = 0
    name: str = ""
    final: bool = False


_record_decoder = msgspec.json.Decoder(_Record)


def read_journal(folder: str | os.PathLike[str]) -> list[OpenAttempt]:
    """Return the attempts that are open in a run folder, in the order in which they were begun. Raises OSError."""
    return open_attempts(whole_lines(Path(folder) / JOURNAL), whole_lines(Path(folder) / RESULTS))


def open_attempts(journal: Iterable[bytes], records: Iterable[bytes]) -> list[OpenAttempt]:
    """Return the attempts that are open by these whole lines of partial.jsonl and results.jsonl."""
    attempts: dict[str, OpenAttempt] = {}
    for folder, line in decoded(journal, decode_line, JOURNAL):
        if isinstance(line, Attempt):
            attempts[folder] = OpenAttempt(line)
        elif folder in attempts:
            attempts[folder].take(line)
    if attempts:
        _take_records(records, attempts)
    for attempt in attempts.values():
        attempt.settle()
    return list(attempts.values())


def _take_records(records: Iterable[bytes], attempts: dict[str, OpenAttempt]) -> None:
    """Tell the attempts what of them is recorded, and remove those that are closed."""
    prefixes = {_encode(each.begun.head)[:-1] + b",": each for each in attempts.values()}
    interesting = tuple(prefixes)
    decode = partial(_decode_record, interesting)
    wanted = methodcaller("startswith", interesting)
    for prefix, record in decoded(records, decode, RESULTS, wanted=wanted):
        attempt = prefixes[prefix]
        if record.final:
            attempts.pop(attempt.begun.folder, None)
        else:
            attempt.take_record(record.n, record.name)


def _decode_record(prefixes: tuple[bytes, ...], line: bytes) -> tuple[bytes, _Record]:
    """Return with which of `prefixes` the line begins, and the record in it."""
    record = _record_decoder.decode(line)
    return next(prefix for prefix in prefixes if line.startswith(prefix)), record
