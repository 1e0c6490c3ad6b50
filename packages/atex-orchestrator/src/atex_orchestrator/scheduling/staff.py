"""The machines of a platform: who works, who is coming, who stands by, and which may be asked for."""

from bisect import bisect_left, insort
from collections import deque
from enum import Enum, auto

from atex_orchestrator.events import MachineFailed
from atex_orchestrator.scheduling.refusals import Refusals
from atex_orchestrator.scheduling.tries import Job
from atex_orchestrator.scheduling.waiting import NO_LIMIT, Waiting

REASONS = 10  # of machines that failed, the latest, named in the note of each test that is given up
REPLACEMENTS = 10  # in a row, of machines of a platform that failed before their first test


class State(Enum):
    """What a machine is doing."""

    COMING = auto()
    SPARE = auto()  # ready, and stands by
    FREE = auto()  # takes a test at once
    IDLE = auto()  # a test that runs may come back
    BUSY = auto()
    KEPT = auto()  # unless MachineNotKept comes
    LEAVING = auto()  # failed or let go: takes no test


class Worker:
    """One machine, from the request to the release. Its slot is what the pool has for it: a regular one, or a spare."""

    __slots__ = (
        "counts",
        "declined",
        "is_fresh",
        "is_kept",
        "is_over",
        "is_spare",
        "job",
        "lease_end",
        "number",
        "platform",
        "pool",
        "returns",
        "state",
        "takes_tests",
        "tried",
    )

    def __init__(self, number: int, platform: "Platform", pool: int, *, is_spare: bool) -> None:
        self.number = number
        self.platform = platform
        self.pool = pool
        self.is_spare = is_spare  # its slot
        self.state = State.COMING
        self.job: Job | None = None  # that it runs
        self.counts = False  # in may_return of its platform
        self.lease_end: float | None = None
        self.is_fresh = True  # just made ready, or coming: it neither ran a test nor stood by
        self.takes_tests = False  # ready, no spare, and not on its way out
        self.is_over = False  # its lease, its good state, or somebody's wish to use it
        self.is_kept = False  # or will be, unless MachineNotKept comes
        self.declined = False  # all tests, so that none should come in its place
        self.returns = False  # its slot is free again when it is gone
        self.tried: list[Job] = []  # tests that were to be tried again elsewhere

    def limit(self, now: float) -> float:
        """Return how long a test may take, in seconds, to end before the lease does."""
        return NO_LIMIT if self.lease_end is None else self.lease_end - now


class Platform:
    """Its machines, and the tests that only they run."""

    def __init__(self, name: str, waiting: Waiting) -> None:
        """Begin without machines."""
        self.name = name
        self.waiting = waiting
        self.slots: deque[int] = deque()  # the pool of each machine that can be asked for
        self.spare_slots: deque[int] = deque()
        self.coming: dict[int, Worker] = {}  # spares, too
        self.spares: list[Worker] = []  # coming or standing by
        self.idle: list[Worker] = []  # the longest lease first
        self.busy: set[Worker] = set()
        self.alive = 0  # workers that are not leaving
        self.taking = 0  # workers that take tests
        self.returning = 0  # slots that will be free when a worker is gone
        self.may_return = 0  # running tests that would be tried again if they failed
        self.failures: deque[MachineFailed] = deque(maxlen=REASONS + 1)  # the latest last
        self.failed_in_a_row = 0
        self.has_kept = False  # a machine
        self.refusals = Refusals()

    def hire(self, number: int, pool: int, *, is_spare: bool = False) -> Worker:
        """Return a new worker; its slot is not free any more."""
        worker = Worker(number, self, pool, is_spare=is_spare)
        self.alive += 1
        self.coming[number] = worker
        if is_spare:
            self.spares.append(worker)
        return worker

    def arrived(self, worker: Worker) -> None:
        """Its machine is there, and no spare: it takes tests from here on."""
        self.coming.pop(worker.number, None)
        worker.state = State.FREE
        worker.takes_tests = True
        self.taking += 1

    def stand_by(self, worker: Worker) -> None:
        """Its machine is there, and a spare."""
        self.coming.pop(worker.number, None)
        worker.state = State.SPARE
        worker.is_fresh = False

    def stand_in(self, spare: Worker) -> bool:
        """Let a spare change slots with a machine of its pool that is still coming; return whether there is one."""
        for worker in self.coming.values():
            if worker.pool == spare.pool and not worker.is_spare:
                self.spares.remove(spare)
                self.spares.append(worker)
                spare.is_spare, worker.is_spare = False, True
                return True
        return False

    def standing_by(self) -> set[int]:
        """Return the numbers of spares that are ready."""
        return {spare.number for spare in self.spares if spare.state is State.SPARE}

    def occupy(self, worker: Worker, job: Job, *, may_return: bool) -> None:
        """Let it run a test."""
        worker.state = State.BUSY
        worker.job = job
        worker.counts = may_return
        self.may_return += may_return
        self.busy.add(worker)

    def vacate(self, worker: Worker) -> None:
        """Its test has ended."""
        worker.job = None
        self.may_return -= worker.counts
        self.busy.discard(worker)

    def rest(self, worker: Worker) -> None:
        """Let a worker be idle until something comes back."""
        worker.state = State.IDLE
        worker.is_fresh = False
        insort(self.idle, worker, key=_by_lease)

    def wake(self, worker: Worker) -> None:
        """Let a worker be idle no more."""
        del self.idle[bisect_left(self.idle, _by_lease(worker), key=_by_lease)]

    def retire(self, worker: Worker) -> None:
        """Count it no more among those that take tests: for what it tried there is one machine less to avoid."""
        if worker.takes_tests:
            worker.takes_tests = False
            self.taking -= 1
            for job in worker.tried:
                _forget(job, worker.number)
            worker.tried.clear()

    def leave(self, worker: Worker, *, returns: bool) -> Worker | None:
        """Let it take no more tests; `returns`: its slot can be used again when it is gone.

        Return the spare that steps in for it, if one stands by: it is free from here on.
        """
        was_idle = worker.state is State.IDLE
        worker.state = State.LEAVING
        self.coming.pop(worker.number, None)
        if was_idle:
            self.wake(worker)
        if worker in self.spares:
            self.spares.remove(worker)
        self.retire(worker)
        self.alive -= 1
        worker.returns = returns
        self.returning += returns
        if worker.is_spare or worker.declined:
            return None
        spare = self._successor(worker.pool)
        if spare is None:
            return None
        worker.is_spare = True
        return self.step_in(spare)

    def give_slot_back(self, worker: Worker) -> None:
        """It is gone, and with it what held its slot."""
        if worker.returns:
            self.returning -= 1
            if worker.is_kept:
                return
            if worker.is_spare:
                self.spare_slots.append(worker.pool)
            elif not self.refusals.holds(worker.pool):
                self.slots.append(worker.pool)

    def is_unsettled(self) -> bool:
        """Return whether, while tests wait, somebody could be asked for or let go, or nobody works any more."""
        return bool(self.slots or self.spare_slots or self.idle or not self.busy)

    def has_nobody(self) -> bool:
        """Return whether nothing can run here any more."""
        return not self.alive and not self.returning and not self.slots

    def step_in(self, spare: Worker) -> Worker | None:
        """Let it be a spare no more; return it if it stood by: it is free."""
        self.spares.remove(spare)
        spare.is_spare = False
        if spare.state is not State.SPARE:
            return None
        self.arrived(spare)
        return spare

    def step_in_for(self, pool: int) -> Worker | None:
        """Let a spare of this pool that stands by change slots; return it: it is free. None: there is none."""
        spare = self._successor(pool)
        if spare is None or spare.state is not State.SPARE:
            return None
        self.spare_slots.append(pool)
        return self.step_in(spare)

    def _successor(self, pool: int) -> Worker | None:
        """Return the spare that takes over a slot of this pool, best one that stands by."""
        spares = [spare for spare in self.spares if spare.pool == pool]
        return min(
            spares, key=lambda spare: (spare.state is not State.SPARE, spare.number), default=None
        )


def _by_lease(worker: Worker) -> tuple[float, int]:
    return -NO_LIMIT if worker.lease_end is None else -worker.lease_end, worker.number


def _forget(job: Job, worker: int) -> None:
    if not job.waits:
        job.tried -= {worker}
        return
    job.home.take(job)
    job.tried -= {worker}
    job.home.put(job)
