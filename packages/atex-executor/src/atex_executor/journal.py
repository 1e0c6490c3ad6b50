"""The journal of attempts that are not closed: what one process has to know to go on where another was killed.

A line when an attempt begins, and then what is in no other place: results that are held, the names of files, refused
ones, restarts, marks, added tests. Results that were recorded are in results.jsonl, bytes in their files; what was
applied but not noted before the process was killed comes again from the agent, so that nothing has to be written twice.

    ["PLATFORM/TEST/@SERIAL.ATTEMPT", {"kind": "held", "n": 7, "name": "part", "result": {"status": "info"}}]

Lines of one attempt are in the order of its messages. A record is written before the lines of the results that were
held along with it, and lines about files before the record that lists them. `resume.py` reads all of it.
"""

from collections.abc import Iterator
from typing import Any, Self

import msgspec
from atex_fmf import Test
from atex_sut_agent.protocol import Clock

from atex_executor import layout
from atex_executor.line_file import decoded
from atex_executor.records import readable, record_head
from atex_executor.sink import Sink

JOURNAL = "partial.jsonl"


class _Line(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=str.lower, omit_defaults=True
):
    pass


class Attempt(_Line, frozen=True, kw_only=True):
    """An attempt at a test, as it begins."""

    folder: str
    """Below `files/`; the attempt's name in the journal."""
    test: str
    platform: str
    serial: int
    attempt: int
    machine: str
    started: str
    """Like 2026-11-20T15:04:05.123Z."""
    session: str = ""
    """Of the agent."""
    incarnation: str = ""
    """Of the agent that was told to start it."""
    key: str = ""
    """By which the agent knows the run."""

    @classmethod
    def of(
        cls,
        test: Test,
        *,
        platform: str,
        machine: str,
        attempt: int,
        started: str,
        session: str = "",
        incarnation: str = "",
        key: str = "",
    ) -> Self:
        """Return attempt number `attempt` at `test` on `machine` of `platform`."""
        return cls(
            folder=layout.attempt_folder(platform, test.name, test.serial, attempt),
            **record_head(test, platform, attempt),
            machine=readable(machine),
            started=started,
            session=session,
            incarnation=incarnation,
            key=key,
        )

    @property
    def head(self) -> dict[str, Any]:
        """The keys that all its records begin with."""
        return {
            "test": self.test,
            "platform": self.platform,
            "serial": self.serial,
            "attempt": self.attempt,
        }


class _WithFiles(_Line, frozen=True, kw_only=True):
    n: int
    name: str
    """Empty for the test itself."""
    lengths: dict[str, int] = {}
    """How many bytes each of its files has with it."""
    new: list[str] = []
    """Those that it is the first to list."""
    link: str | None = None
    """A new name of the test's output."""


class Held(_WithFiles, frozen=True, kw_only=True):
    """A result that is held."""

    result: dict[str, Any]


class Listed(_WithFiles, frozen=True, kw_only=True):
    """A result with files that is about to be recorded; or to be `held`: then it is here for its link."""

    held: bool = False


class Closed(_Line, frozen=True, kw_only=True):
    """What was held by this name is recorded."""

    name: str


class Refused(_Line, frozen=True, kw_only=True):
    """A file that can not be stored."""

    name: str
    file: str


class Fault(_Line, frozen=True, kw_only=True):
    """The first thing that the test did wrong and only the host could see."""

    reason: str


class Announced(_Line, frozen=True, kw_only=True):
    """The test is about to take its machine down."""

    clock: Clock
    patience: float | None = None
    """Seconds that it gives the machine to come back; None: what is left of its duration."""
    at: float
    """When the host noted it, in seconds since 1970."""
    results: int
    """That the test had sent."""


class Restarted(_Line, frozen=True, kw_only=True):
    """The test is started again, for the `number`th time."""

    number: int
    incarnation: str


class Marked(_Line, frozen=True, kw_only=True):
    """A mark on the machine."""

    name: str
    value: str


class AddedTest(_Line, frozen=True, kw_only=True):
    """One more run of a test, which this attempt asks for as its `number`th, counted from 1."""

    number: int
    test: str
    """A name."""
    environment: dict[str, str] = {}


Line = (
    Attempt | Held | Closed | Listed | Refused | Fault | Announced | Restarted | Marked | AddedTest
)

_decoder: msgspec.json.Decoder[tuple[str, Line]] = msgspec.json.Decoder(tuple[str, Line])


class Journal:
    """The journal of one attempt."""

    def __init__(self, sink: Sink, folder: str) -> None:
        self._sink = sink
        self._folder = folder

    def add(self, *lines: Line) -> None:
        """Append lines. Raises SinkError."""
        if lines:
            self._sink.journal(self._folder, lines)

    def lines(self) -> Iterator[Line]:
        """Yield all that was added. Raises SinkError."""
        for _, line in decoded(self._sink.journaled(self._folder), decode_line, JOURNAL):
            yield line

    def forget(self) -> None:
        """The attempt is closed. Raises SinkError."""
        self._sink.forget(self._folder)


def decode_line(line: bytes) -> tuple[str, Line]:
    """Return the attempt's folder and what the line says. Raises what UNDECODABLE has for what is no such line."""
    return _decoder.decode(line)
