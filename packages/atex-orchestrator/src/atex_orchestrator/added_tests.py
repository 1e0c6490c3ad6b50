"""Tests that running tests asked for (`addtest`): each gets a serial of its own, and is written down before it is known
to anybody else.

Threads: any. `_lock` guards the serials and what was added; nobody does I/O while holding it.
"""

import threading
from collections.abc import Mapping

import msgspec
from atex_executor import AddedTest
from atex_executor.records import readable
from atex_fmf import Suite, Test

from atex_orchestrator.events import TestAdded
from atex_orchestrator.results import RunFolder


class AddedTests:
    """Those of one run."""

    def __init__(self, folder: RunFolder, suites: Mapping[str, Suite]) -> None:
        """Write them to `folder`; serials go on above those of each platform's suite."""
        self._folder = folder
        self._lock = threading.Lock()
        self._suites = suites
        self._last = {
            name: max((test.serial for test in suite.tests), default=0)
            for name, suite in suites.items()
        }
        self._by_name: dict[str, dict[str, Test]] = {}  # of a platform that tests were added to
        self._tests: dict[tuple[str, int], Test] = {}  # by platform and serial

    def add(
        self, asked: AddedTest, *, worker: int, platform: str, by: Test, attempt: int
    ) -> TestAdded:
        """Give one more run of a test of `platform`, asked for by this attempt at `by`, its serial, and write it down.

        Raises OSError where that can not be done.
        """
        with self._lock:
            self._last[platform] += 1
            serial = self._last[platform]
        event = TestAdded(
            worker=worker,
            platform=platform,
            test=asked.test,
            serial=serial,
            environment=asked.environment,
            by_serial=by.serial,
            by_attempt=attempt,
            number=asked.number,
        )
        self.take(event)
        self._folder.append(event)
        self._folder.sync()  # a power cut must not leave results of a test of which nobody knows
        return event

    def take(self, event: TestAdded) -> None:
        """Note what was added; also by a process that is gone."""
        with self._lock:
            self._last[event.platform] = max(self._last[event.platform], event.serial)
            known = self._by_name.get(event.platform)
        if known is None:
            tests = self._suites[event.platform].tests
            known = {readable(test.name): test for test in reversed(tests)}
        test = msgspec.structs.replace(
            known[readable(event.test)], serial=event.serial, overrides=event.environment
        )
        with self._lock:
            self._by_name[event.platform] = known
            self._tests[event.platform, event.serial] = test

    def skip(self, platform: str, serial: int) -> None:
        """Give no other test this serial."""
        with self._lock:
            self._last[platform] = max(self._last[platform], serial)

    def find(self, platform: str, serial: int) -> Test | None:
        """Return a test that was added."""
        with self._lock:
            return self._tests.get((platform, serial))

    def test(self, platform: str, serial: int) -> Test:
        """Return a test that was added. Raises KeyError for what was not."""
        with self._lock:
            return self._tests[platform, serial]

    def of(self, platform: str) -> tuple[Test, ...]:
        """Return all that were added to a platform."""
        with self._lock:
            return tuple(test for (name, _), test in self._tests.items() if name == platform)
