"""Run folders written by hand, to read back."""

from pathlib import Path
from typing import Any

import msgspec
from atex_orchestrator.events import Event
from atex_orchestrator.results import PlatformInfo, RunInfo


def write_folder(
    folder: Path,
    *,
    tests: list[str],
    records: list[dict[str, Any]] | bytes = b"",
    events: list[Event] | None = None,
    platform: str = "p",
) -> Path:
    """Write a run of `tests`, with serials from 1, on one platform."""
    platforms = [PlatformInfo(name=platform, tree="/tree", tests=dict(enumerate(tests, start=1)))]
    info = RunInfo(started="2026-11-20T15:04:05.123Z", platforms=platforms)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_bytes(msgspec.json.encode(info))
    lines = records if isinstance(records, bytes) else msgspec.json.Encoder().encode_lines(records)
    (folder / "results.jsonl").write_bytes(lines)
    (folder / "events.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(events or []))
    return folder


def final(serial: int, status: str, *, attempt: int = 1, **others: Any) -> dict[str, Any]:
    """A final record of test `serial`."""
    head = {"test": f"/t{serial}", "platform": "p", "serial": serial, "attempt": attempt}
    return {**head, "final": True, "status": status, **others}
