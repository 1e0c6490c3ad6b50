"""The tests that wait, in the order to start them: which is the first that a machine may take, in log time.

A row is a segment tree over tests in their order: each node knows the shortest duration below it, and which machines
had all the tests below it. Tests that come later, in any place of the order, make rows of their own, which are
merged as they grow (the logarithmic method of Bentley and Saxe, 1980), so that there are never more than log n rows.
Rows are kept apart by how many machines that still take tests had their tests before: it is the same for all of
them whether there is another machine that had not.
"""

import math
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from operator import attrgetter
from typing import Any

from atex_fmf import Test

from atex_orchestrator.scheduling.tries import Job

NO_LIMIT = sys.float_info.max  # seconds: longer than any test

_KEY = attrgetter("key")


class Row:
    """Places for tests, in order; a place is empty while its test does not wait."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        """Take waiting tests, sorted, which were all had by equally many machines."""
        self.jobs = jobs
        self._width = width = 1 << (len(jobs) - 1).bit_length()
        self._shortest = array("d", [math.inf]) * (
            2 * width
        )  # seconds, by node; inf: nothing waits
        for place, job in enumerate(jobs):
            job.row, job.place = self, place
            self._shortest[width + place] = job.test.duration
        for node in range(width - 1, 0, -1):
            self._shortest[node] = min(self._shortest[2 * node], self._shortest[2 * node + 1])
        self._had_by: list[frozenset[int] | None] = []  # by node; empty: none was had by any
        if jobs[0].tried:
            self._had_by = [None] * (2 * width)
            for place, job in enumerate(jobs):
                self._had_by[width + place] = job.tried
            for node in range(width - 1, 0, -1):
                self._had_by[node] = self._common(node)

    def fill(self, job: Job) -> None:
        """Let a test of the row wait."""
        self._write(job.place, job.test.duration, job.tried)

    def empty(self, job: Job) -> None:
        """Let a test of the row wait no more."""
        self._write(job.place, math.inf, None)

    def first(self, limit: float) -> Job | None:
        """Return the first waiting test of at most `limit` seconds."""
        shortest, width, node = self._shortest, self._width, 1
        if shortest[1] > limit:
            return None
        while node < width:
            node *= 2
            if shortest[node] > limit:
                node += 1
        return self.jobs[node - width]

    def fitting(self, limit: float, avoided_by: int | None) -> Iterator[Job]:
        """Yield waiting tests of at most `limit` seconds, in order, and none that this worker had."""
        nodes = [1]
        while nodes:
            node = nodes.pop()
            if self._shortest[node] > limit:
                continue
            if avoided_by is not None and avoided_by in (self._had_by[node] or ()):
                continue
            if node < self._width:
                nodes += (2 * node + 1, 2 * node)
            else:
                yield self.jobs[node - self._width]

    def _write(self, place: int, duration: float, tried: frozenset[int] | None) -> None:
        shortest = self._shortest
        node = self._width + place
        shortest[node] = duration
        while node := node // 2:
            left, right = shortest[2 * node], shortest[2 * node + 1]
            least = min(right, left)
            if shortest[node] == least:
                break
            shortest[node] = least
        if self._had_by:
            node = self._width + place
            self._had_by[node] = tried
            while node := node // 2:
                self._had_by[node] = self._common(node)

    def _common(self, node: int) -> frozenset[int] | None:
        left, right = self._had_by[2 * node], self._had_by[2 * node + 1]
        if left is None or right is None:
            return right if left is None else left
        return left & right


class Waiting:
    """The tests of a platform, or those that are bound to none."""

    def __init__(self, name: str, rank: Callable[[str, Test], Any] | None) -> None:
        """Begin without tests; see Scheduler for `rank`."""
        self.name = name
        self.count = 0
        """How many wait."""
        self.jobs: dict[int, Job] = {}
        """All, by serial, whether they wait or not."""
        self._rank = rank
        self._rows: list[list[Row]] = [
            []
        ]  # by the number of machines that had their tests; longest first

    def begin(self, tests: Sequence[Test], first: int) -> None:
        """Let all these wait; the order given counts from `first`."""
        jobs = [self.job(test, number) for number, test in enumerate(tests, start=first)]
        for job in jobs:
            job.waits = True
        if jobs:
            self._rows[0].append(Row(sorted(jobs, key=_KEY)))
        self.count = len(jobs)

    def put(self, job: Job) -> None:
        """Let a test wait, in its place in the order."""
        job.waits = True
        self.count += 1
        while len(self._rows) <= len(job.tried):
            self._rows.append([])
        rows = self._rows[len(job.tried)]
        if job.row is not None and job.row in rows:
            job.row.fill(job)
            return
        jobs = [job]
        while rows and len(rows[-1].jobs) <= len(jobs):
            jobs = list(merge(rows.pop().fitting(NO_LIMIT, None), jobs, key=_KEY))
        rows.append(Row(jobs))

    def take(self, job: Job) -> None:
        """Let a waiting test wait no more."""
        if job.row is not None:
            job.row.empty(job)
        job.waits = False
        self.count -= 1

    def first(self, limit: float, worker: int, ready: int) -> Job | None:
        """Return the first test of at most `limit` seconds for a worker, one of so many that take tests.

        Those that it had wait for another one, as long as there is one that had not.
        """
        best: Job | None = None
        for had_by, rows in enumerate(self._rows):
            avoids = 0 < had_by < ready
            for row in rows:
                job = next(row.fitting(limit, worker), None) if avoids else row.first(limit)
                if job is not None and (best is None or job.key < best.key):
                    best = job
        return best

    def fitting(self, limit: float, worker: int, ready: int) -> Iterator[Job]:
        """Yield all tests that first() might return, in order."""
        return merge(
            *(
                row.fitting(limit, worker if 0 < had_by < ready else None)
                for had_by, rows in enumerate(self._rows)
                for row in rows
            ),
            key=_KEY,
        )

    def all(self) -> Iterator[Job]:
        """Yield all that wait, in order."""
        return self.fitting(NO_LIMIT, 0, 0)

    def clear(self) -> list[Job]:
        """Return all that wait, in order; none waits any more."""
        jobs = list(self.all())
        for job in jobs:
            job.waits = False
        self._rows = [[]]
        self.count = 0
        return jobs

    def job(self, test: Test, number: int) -> Job:
        """Return a test, which does not wait yet; of those with equal ranks the lower number is first."""
        key = number if self._rank is None else (self._rank(self.name, test), number)
        self.jobs[test.serial] = job = Job(test, self, key)
        return job
