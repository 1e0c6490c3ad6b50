"""Streaming readers of a run folder, also of one that is being written or was killed in the middle.

They take whole lines and ignore what follows the last line feed. A line that is no record (a power cut of the host can
leave one) is skipped with a warning in the log. Nothing is kept: memory does not grow with the number of lines.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from atex_executor.line_file import whole_lines

from atex_orchestrator.events import Event
from atex_orchestrator.results.folder import EVENTS, RESULTS

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

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
    yield from _decoded(folder / RESULTS, msgspec.json.Decoder(dict[str, Any]))


def read_finals(folder: Path) -> Iterator[FinalRecord]:
    """Yield the final records of `results.jsonl`, in the order in which attempts ended. Raises OSError."""
    records = _decoded(folder / RESULTS, msgspec.json.Decoder(FinalRecord), containing=_FINAL)
    return (record for record in records if record.final)


def read_events(folder: Path) -> Iterator[Event]:
    """Yield every event of `events.jsonl`. Raises OSError."""
    yield from _decoded(folder / EVENTS, msgspec.json.Decoder(Event))


def _decoded(
    path: Path, decoder: msgspec.json.Decoder[_T], containing: bytes = b""
) -> Iterator[_T]:
    for number, line in enumerate(whole_lines(path), start=1):
        if containing not in line:
            continue
        try:
            yield decoder.decode(line)
        except msgspec.MsgspecError as error:
            _log.warning("%s, line %d is skipped: %s", path, number, error)
