"""Streaming readers of a run folder, also of one that is being written or was killed in the middle.

They take whole lines and ignore what follows the last line feed. A line that is no record (a power cut of the host can
leave one) is skipped with a warning in the log. Nothing is kept: memory does not grow with the number of lines.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from atex_executor.line_file import decoded, whole_lines

from atex_orchestrator.events import Event
from atex_orchestrator.results.folder import EVENTS, RESULTS

_FINAL = b'"final"'  # stands in each line that closes an attempt, and in few others


class FinalRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The line that closes an attempt at a test, without what the test added of its own (spec: results)."""

    test: str
    platform: str
    serial: int
    attempt: int = 1
    final: bool = False
    status: str = ""
    note: str | None = None
    machine: str | None = None
    """Where it ran; None: it was never started."""
    started: str | None = None
    seconds: float | None = None
    exit_code: int | None = None
    files: list[str] = []
    """Paths below `files/`."""


def read_records(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield every line of `results.jsonl`, as written. Raises OSError."""
    path = folder / RESULTS
    yield from decoded(whole_lines(path), msgspec.json.Decoder(dict[str, Any]).decode, path)


def read_finals(folder: Path) -> Iterator[FinalRecord]:
    """Yield the final records of `results.jsonl`, in the order in which attempts ended. Raises OSError."""
    path, decode = folder / RESULTS, msgspec.json.Decoder(FinalRecord).decode
    records = decoded(whole_lines(path), decode, path, wanted=lambda line: _FINAL in line)
    return (record for record in records if record.final)


def find_final(folder: Path, platform: str, serial: int, attempt: int) -> FinalRecord | None:
    """Return the final record of an attempt; None: it has none yet. Raises OSError."""
    wanted = platform, serial, attempt
    return next(
        (
            final
            for final in read_finals(folder)
            if (final.platform, final.serial, final.attempt) == wanted
        ),
        None,
    )


def read_events(folder: Path) -> Iterator[Event]:
    """Yield every event of `events.jsonl`. Raises OSError."""
    path = folder / EVENTS
    yield from decoded(whole_lines(path), msgspec.json.Decoder(Event).decode, path)
