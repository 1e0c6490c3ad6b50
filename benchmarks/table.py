"""Rows of measurements, and the table that is printed of them."""

import os
import platform
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """What was measured of one subject: a value per round, all in one unit."""

    subject: str
    values: list[float]

    @property
    def median(self) -> float:
        """The middle of the values."""
        return statistics.median(self.values)


def print_table(title: str, unit: str, rows: Sequence[Row]) -> None:
    """Print each row's median, min and max, and its median as a ratio to that of the last row, the reference."""
    reference = rows[-1]
    print(f"\n### {title}\n")
    print(f"{datetime.now(UTC):%Y-%m-%d}, {_machine()}, {len(reference.values)} rounds\n")
    print(f"| {unit} | median | min | max | ratio to {reference.subject} |")
    print("|---|---:|---:|---:|---:|")
    for row in rows:
        cells = [_number(number) for number in (row.median, min(row.values), max(row.values))]
        print(f"| {row.subject} | {' | '.join(cells)} | {row.median / reference.median:.3g} |")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _machine() -> str:
    release = ".".join(platform.release().split(".")[:2])
    return f"{os.cpu_count()} cores {_processor()}, Linux {release}, Python {platform.python_version()}"


def _processor() -> str:
    """What Linux calls it; the architecture alone where it has no name."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1] if found else platform.machine()
