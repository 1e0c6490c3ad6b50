"""The lines of results.jsonl that the runner writes itself: spec/RESULTS.md, "What lands on disk". Pure.

The runner's keys come first and in the order of that page, then those of the test. Keys without a value are left out.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from atex_fmf import Test

# What a test may not say about itself: it is dropped from its results.
RUNNER_KEYS = frozenset(
    (
        "test",
        "platform",
        "plan",
        "serial",
        "attempt",
        "n",
        "final",
        "machine",
        "started",
        "seconds",
        "exit_code",
    )
)


_NOT_UTF_8 = re.compile("[\ud800-\udfff]")


def record_head(test: Test, platform: str, attempt: int) -> dict[str, Any]:
    """Return the keys that all records of one attempt begin with."""
    return {
        "test": readable(test.name),
        "platform": readable(platform),
        "serial": test.serial,
        "attempt": attempt,
    }


def final_record(
    head: Mapping[str, Any],
    *,
    machine: str | None = None,
    started: str | None = None,
    seconds: float | None = None,
    exit_code: int | None = None,
    status: str,
    note: str | None = None,
    files: Sequence[str] = (),
    others: Mapping[str, Any] = {},
) -> dict[str, Any]:
    """Return the record that closes an attempt. `others` are the keys of the test's own."""
    record = {
        **head,
        "final": True,
        "machine": machine and readable(machine),
        "started": started,
        "seconds": None if seconds is None else round(seconds, 3),
        "exit_code": exit_code,
        "status": status,
        "note": note and readable(note),
        "files": list(files) or None,
    }
    return {key: value for key, value in record.items() if value is not None} | dict(others)


def unstarted_record(
    test: Test,
    platform: str,
    status: str,
    note: str,
    attempt: int = 1,
    files: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the final record of a test that nobody started; `status` is "infra" or "skip", `note` says why."""
    head = record_head(test, platform, attempt)
    return final_record(head, status=status, note=note, files=files)


def readable(text: str) -> str:
    r"""Return `text` as a record can hold it: a byte of a name that is no UTF-8 is written \xHH, as Python shows it."""
    return _NOT_UTF_8.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def timestamp(moment: float) -> str:
    """Return `moment` (seconds since 1970) as records have it, in UTC: 2026-11-20T15:04:05.123Z."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
