"""Pools whose fresh machines took nothing of what waited: no other one is asked for to take the same.

Without hooks there are none. So no hook makes an endless loop of machines that come and go, and each test brings at
most one machine of such a pool.
"""

from collections import deque
from collections.abc import Iterable

from atex_orchestrator.scheduling.tries import Job


class Refusals:
    """Of the pools of a platform."""

    def __init__(self) -> None:
        """Begin with none."""
        self._refused: dict[int, set[Job]] = {}  # by pool
        self._barred: list[int] = []  # the pool of each slot that nobody is asked for
        self._new: list[Job] = []  # they came to wait since lift()

    def __bool__(self) -> bool:
        """Whether machines could be asked for that would take nothing."""
        return bool(self._barred)

    def bar(self, pool: int, waiting: Iterable[Job], slots: deque[int]) -> None:
        """A fresh machine of this pool took none of these: take its slots out of those that can be used."""
        self._refused.setdefault(pool, set()).update(waiting)
        mine = slots.count(pool)
        self._barred += [pool] * mine
        for _ in range(mine):
            slots.remove(pool)

    def new(self, job: Job) -> None:
        """A test came to wait: if nobody takes it at once, a machine that did not refuse it may."""
        if self._refused:
            self._new.append(job)

    def lift(self, slots: deque[int]) -> None:
        """Return a slot of each pool for each new test that still waits, and was not refused there."""
        jobs, self._new = self._new, []
        for job in jobs:
            for pool in {*self._barred} if job.waits else ():
                if job not in self._refused[pool]:
                    self._return(pool, slots)

    def taken(self, pool: int, job: Job, slots: deque[int]) -> None:
        """A machine of this pool took a test: where others refused it, machines of this pool are not all alike."""
        if job in self._refused.get(pool, ()):
            del self._refused[pool]
            while pool in self._barred:
                self._return(pool, slots)

    def holds(self, pool: int) -> bool:
        """Take the slot of a machine that is gone, if its pool refuses all; return whether it was taken."""
        if pool in self._refused:
            self._barred.append(pool)
        return pool in self._refused

    def _return(self, pool: int, slots: deque[int]) -> None:
        self._barred.remove(pool)
        slots.append(pool)
