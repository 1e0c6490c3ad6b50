"""What became of a run, read from its folder alone: at any time, also while it runs or after it was killed.

Streams: memory grows with the number of attempts, not of results. The last attempt at a test counts.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from atex_orchestrator.events import (
    Event,
    MachineFailed,
    MachineFreed,
    MachineKept,
    MachineReleased,
    MachineRequested,
    TestAdded,
    TestFinished,
)
from atex_orchestrator.results.folder import FILES, RunInfo, read_run
from atex_orchestrator.results.reader import FinalRecord, read_events, read_finals

PASSED = ("pass", "info")
FAILED = ("error", "fail", "warn")  # worst first; what a summary shows in full
OUTPUT = "output.txt"  # what a test wrote to its stdout and stderr
TAIL = 64 * 1024  # bytes at the end of an output in which its last lines are looked for


class MachineTrouble(msgspec.Struct, frozen=True):
    """A machine that failed, and what it cost."""

    machine: str
    """Its name, or that of its pool where it was not even reserved."""
    platform: str
    during: str
    reason: str
    output: str = ""
    """Of a phase that failed: the file with what it printed, below `files/`."""
    tail: tuple[str, ...] = ()
    """Its last lines."""
    tests: tuple[str, ...] = ()
    """Names of the tests whose attempt has no verdict because they were running there."""


class Flaky(msgspec.Struct, frozen=True):
    """A test that failed and then passed, with nothing changed between."""

    passed: FinalRecord
    """Its last attempt."""
    failed: tuple[FinalRecord, ...]
    """Those before that failed, warned or had an error, the first one first."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it stands in its folder."""

    folder: Path
    info: RunInfo
    counts: dict[str, int]
    """Tests by the status of their last attempt."""
    failed: tuple[FinalRecord, ...]
    """Those that failed, warned or had an error, worst first, then in the order in which they ended."""
    flaky: tuple[Flaky, ...]
    """Those that failed and then passed, in the order in which they ended."""
    infra: tuple[FinalRecord, ...]
    """Those without a verdict."""
    retried: tuple[FinalRecord, ...]
    """Attempts without a verdict that were followed by another one."""
    skipped: tuple[FinalRecord, ...]
    """Tests that were not started, on purpose."""
    missing: tuple[tuple[str, int, str], ...]
    """Platform, serial and name of tests that have no final record: the run goes on, or was killed."""
    troubles: tuple[MachineTrouble, ...]
    kept: tuple[MachineKept, ...]
    """Machines that stay reserved, because a test failed there."""
    left: dict[str, str]
    """Machines on which processes of the run may be left, and why."""
    held: tuple[str, ...]
    """Why machines could not be given back, for each of these."""

    @property
    def tests(self) -> int:
        """How many tests there were to run."""
        return sum(self.counts.values()) + len(self.missing)

    @property
    def stopped(self) -> str | None:
        """Why the run was stopped; None: it came to its end."""
        return self.info.stopped

    def output_file(self, record: FinalRecord) -> Path | None:
        """Return the file with the output of the test of `record`, or None where there is none."""
        for name in record.files:
            if name.rpartition("/")[2] == OUTPUT and (self.folder / FILES / name).is_file():
                return self.folder / FILES / name
        return None


def summarize(folder: Path) -> Summary:
    """Read a run folder. Raises FolderUnreadable where it is none, and OSError."""
    info = read_run(folder)
    tests = _Tests.read(folder, info)
    last = tests.last
    told = _Told.read(folder)
    return Summary(
        folder=folder,
        info=info,
        counts=dict(Counter(record.status for record in last.values())),
        failed=tuple(
            sorted(
                (record for record in last.values() if record.status in FAILED),
                key=lambda record: FAILED.index(record.status),
            )
        ),
        flaky=tuple(tests.flaky()),
        infra=tuple(record for record in last.values() if record.status == "infra"),
        retried=tuple(tests.retried()),
        skipped=tuple(
            record for record in last.values() if record.status == "skip" and record.machine is None
        ),
        missing=tuple(
            (platform, serial, name)
            for platform, serial, name in (*info.tests(), *told.added)
            if (platform, serial) not in last
        ),
        troubles=tuple(told.troubles.values()),
        kept=tuple(told.kept),
        left=told.left,
        held=tuple(told.held.values()),
    )


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a file, `count` at most and out of its last 64 KiB. Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        tail = file.read(TAIL)
    lines = tail.decode(errors="replace").splitlines()
    return lines[-count:]


class _Tests:
    """What the final records say of tests."""

    def __init__(self, info: RunInfo) -> None:
        self._info = info
        self.last: dict[tuple[str, int], FinalRecord] = {}  # in the order in which they ended
        self._before: dict[tuple[str, int], list[FinalRecord]] = {}

    @classmethod
    def read(cls, folder: Path, info: RunInfo) -> Self:
        tests = cls(info)
        for record in read_finals(folder):
            tests.take(record)
        return tests

    def take(self, record: FinalRecord) -> None:
        key = self._info.key(record.platform, record.serial)
        last = self.last.get(key)
        if last is not None and record.attempt < last.attempt:  # nobody saw its end when it came
            self._before.setdefault(key, []).append(record)
            return
        if last is not None:
            self._before.setdefault(key, []).append(self.last.pop(key))
        self.last[key] = record

    def retried(self) -> Iterator[FinalRecord]:
        for records in self._before.values():
            yield from (record for record in records if record.status == "infra")

    def flaky(self) -> Iterator[Flaky]:
        for key, record in self.last.items():
            if record.status in PASSED and key in self._before:
                before = sorted(self._before[key], key=lambda one: one.attempt)
                failed = tuple(one for one in before if one.status in FAILED)
                if failed:
                    yield Flaky(record, failed)


class _Told:
    """What the events say of machines, and of tests that were added."""

    def __init__(self) -> None:
        self.added: list[tuple[str, int, str]] = []  # platform, serial, name
        self.troubles: dict[tuple[int, str], MachineTrouble] = {}  # by worker and what it was doing
        self.kept: list[MachineKept] = []
        self.left: dict[str, str] = {}
        self.held: dict[int, str] = {}  # by worker
        self._pools: dict[int, str] = {}

    @classmethod
    def read(cls, folder: Path) -> Self:
        told = cls()
        for event in read_events(folder):
            told.take(event)
        return told

    def take(self, event: Event) -> None:
        match event:
            case MachineRequested(worker=worker, pool=pool):
                self._pools[worker] = pool
            case MachineFailed(worker=worker, machine=machine):
                name = machine or self._pools.get(worker) or event.platform
                self.troubles[worker, event.during] = MachineTrouble(
                    name, event.platform, event.during, event.reason, event.output, event.tail
                )
            case TestFinished(worker=worker, status="infra") if (worker, "test") in self.troubles:
                trouble = self.troubles[worker, "test"]
                self.troubles[worker, "test"] = msgspec.structs.replace(
                    trouble, tests=(*trouble.tests, event.test)
                )
            case TestAdded():
                self.added.append((event.platform, event.serial, event.test))
            case MachineKept():
                self.kept.append(event)
            case MachineReleased(worker=worker, machine=machine, left=left, held=held):
                if machine is not None and left is not None:
                    self.left[machine] = left
                if held is not None:
                    self.held[worker] = held
            case MachineFreed(worker=worker, machine=machine):
                self.held.pop(worker, None)
                self.left.pop(machine or "", None)
