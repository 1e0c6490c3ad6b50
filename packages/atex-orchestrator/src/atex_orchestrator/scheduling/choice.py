"""Which test a machine takes: the first in the order that it may, or what hooks prefer."""

import math
from collections.abc import Iterator
from heapq import merge
from operator import attrgetter

from atex_orchestrator.scheduling.hooks import Hooks
from atex_orchestrator.scheduling.staff import Worker
from atex_orchestrator.scheduling.tries import Job
from atex_orchestrator.scheduling.waiting import NO_LIMIT, Waiting


class Choice:
    """Chooses among the tests of a worker's platform and those that are bound to none."""

    def __init__(self, hooks: Hooks, anywhere: Waiting) -> None:
        """Take what may override the order, and the tests that any machine takes."""
        self._hooks = hooks
        self._anywhere = anywhere
        self._picky = any((hooks.applicable, hooks.fitness, hooks.next_test))

    def for_worker(self, worker: Worker, now: float, taking: int) -> Job | None:
        """Return what a free worker takes; `taking`: how many workers of all platforms take tests.

        A test that does not fit the rest of the lease is for a fresh machine; where even that is too short, it takes
        what there is. A worker for which `next_test` chose none has `declined`.
        """
        limit = worker.limit(now)
        job = self._within(limit, worker, taking)
        if job is None and worker.is_fresh and limit < NO_LIMIT and not worker.declined:
            job = self._within(NO_LIMIT, worker, taking)
        return job

    def suits(self, worker: Worker, job: Job) -> bool:
        """Return whether a test that runs would be applicable to this worker, too."""
        return self._hooks.applicable is None or self._hooks.applicable(worker.number, job.test)

    @property
    def is_free(self) -> bool:
        """Whether any machine of its platform takes a test: no hook chooses."""
        return not self._picky

    def _within(self, limit: float, worker: Worker, taking: int) -> Job | None:
        if self._picky:
            return self._preferred(list(self._applicable(limit, worker, taking)), worker)
        own = worker.platform.waiting.first(limit, worker.number, worker.platform.taking)
        if not self._anywhere.count:
            return own
        other = self._anywhere.first(limit, worker.number, taking)
        if own is None or other is None:
            return own or other
        return own if own.key < other.key else other

    def _applicable(self, limit: float, worker: Worker, taking: int) -> Iterator[Job]:
        platform = worker.platform
        for job in merge(
            platform.waiting.fitting(limit, worker.number, platform.taking),
            self._anywhere.fitting(limit, worker.number, taking),
            key=attrgetter("key"),
        ):
            if self.suits(worker, job):
                yield job

    def _preferred(self, jobs: list[Job], worker: Worker) -> Job | None:
        """Return the one of these that hooks prefer. Raises ValueError if `next_test` returns something else."""
        if not jobs:
            return None
        hooks = self._hooks
        if hooks.next_test is not None:
            test = hooks.next_test(worker.number, [job.test for job in jobs])
            if test is None:
                worker.declined = True
                return None
            for job in jobs:
                if job.test is test:
                    return job
            raise ValueError(f"next_test returned {test.name}, which is not one that it was given")
        if hooks.fitness is None:
            return jobs[0]
        fittest, best = None, -math.inf
        for job in jobs:
            fitness = hooks.fitness(worker.number, job.test)
            if fitness > best:
                fittest, best = job, fitness
        return fittest
