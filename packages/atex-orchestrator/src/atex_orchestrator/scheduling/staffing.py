"""The machines of all platforms: asked for while tests wait, let go when none does, and replaced."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from atex_fmf import Test

from atex_orchestrator.events import ANY
from atex_orchestrator.scheduling.decisions import Decision, GiveUp, Keep, Pool, Release, Reserve
from atex_orchestrator.scheduling.reasons import no_machine_left
from atex_orchestrator.scheduling.staff import Platform, State, Worker
from atex_orchestrator.scheduling.tries import Job
from atex_orchestrator.scheduling.waiting import Waiting

Unstarted = Literal["infra", "skip"]


class Staffing:
    """All workers, all that waits, and what was decided in the call that goes on."""

    def __init__(
        self,
        tests: Mapping[str, Sequence[Test]],
        anywhere: Sequence[Test],
        pools: Sequence[Pool],
        rank: Callable[[str, Test], Any] | None,
        *,
        spares: int,
        workers: int,
    ) -> None:
        """See Scheduler; `spares` for each platform."""
        self.platforms = {name: Platform(name, Waiting(name, rank)) for name in tests}
        self.anywhere = Waiting(ANY, rank)
        self.workers: dict[int, Worker] = {}
        """Those that have not ended, by number."""
        self.free: list[Worker] = []
        """Those that take a test before the call ends."""
        self._pools = pools
        self._last_worker = workers
        self._tests = 0  # all that ever were
        self._ending: tuple[Unstarted, str] | None = (
            None  # nothing is started: what it is instead, why
        )
        self._decisions: list[Decision] = []
        self._are_fewer: set[Platform] = set()  # machines that take tests, since recall()
        for name, of_platform in tests.items():
            self._begin(self.platforms[name].waiting, of_platform)
        self._begin(self.anywhere, anywhere)
        for index, pool in enumerate(pools):
            self.platforms[pool.platform].slots.extend([index] * pool.size)
        for platform in self.platforms.values():
            if kinds := list(dict.fromkeys(platform.slots)):
                platform.spare_slots.extend(kinds[n % len(kinds)] for n in range(spares))

    @property
    def is_ending(self) -> bool:
        """Whether nothing is started any more."""
        return self._ending is not None

    def all_waiting(self) -> Iterable[Waiting]:
        """Return the tests of each platform, and those of none."""
        return [*(platform.waiting for platform in self.platforms.values()), self.anywhere]

    def waiting(self, platform: str) -> Waiting:
        """Return the tests of this platform, or with ANY those of none."""
        return self.anywhere if platform == ANY else self.platforms[platform].waiting

    def platforms_of(self, waiting: Waiting) -> list[Platform]:
        """Return whose machines take these tests."""
        if waiting is self.anywhere:
            return list(self.platforms.values())
        return [self.platforms[waiting.name]]

    def taking(self) -> int:
        """Return how many workers of all platforms take tests; it matters to tests of none only."""
        if not self.anywhere.count:
            return 0
        return sum(platform.taking for platform in self.platforms.values())

    def decide(self, decision: Decision) -> None:
        """Let this be one of what the call returns."""
        self._decisions.append(decision)

    def take_decisions(self) -> list[Decision]:
        """Return what was decided since the last time."""
        decisions, self._decisions = self._decisions, []
        return decisions

    def add(self, platform: str, test: Test) -> Job:
        """Return a further test, which does not wait yet."""
        self._tests += 1
        return self.waiting(platform).job(test, self._tests)

    def put(self, job: Job) -> bool:
        """Let a test wait; return whether it does: nothing is, when the end has come."""
        if self._ending is not None:
            status, reason = self._ending
            if not job.attempts:
                self.decide(GiveUp(job.home.name, (job.test,), reason, status))
            return False
        job.home.put(job)
        for platform in self.platforms_of(job.home):
            platform.refusals.new(job)
        return True

    def adopt(self, number: int, pool: int) -> Worker:
        """Return a worker that is there already."""
        platform = self.platforms[self._pools[pool].platform]
        platform.slots.remove(pool)
        self._last_worker = max(self._last_worker, number)
        self.workers[number] = worker = platform.hire(number, pool)
        worker.is_fresh = False
        return worker

    def arrived(self, worker: Worker) -> None:
        """Its machine takes tests from here on."""
        worker.platform.arrived(worker)
        self.free.append(worker)

    def freed(self, worker: Worker) -> None:
        """Its machine takes the next test."""
        worker.state = State.FREE
        self.free.append(worker)

    def refused(self, worker: Worker) -> None:
        """A fresh machine took nothing of what waits, and no other of its pool would."""
        platform = worker.platform
        waiting = (*platform.waiting.all(), *self.anywhere.all())
        if waiting:
            platform.refusals.bar(worker.pool, waiting, platform.slots)

    def let_go(self, worker: Worker) -> None:
        """Release a worker, or let its last test end; its slot can be used again."""
        self.leave(worker, returns=not worker.declined)
        if worker.job is None:
            self.decide(Release(worker.number))

    def leave(self, worker: Worker, *, returns: bool) -> None:
        """Let a worker take no more tests, and a spare step in for it."""
        if worker.takes_tests:
            self._are_fewer.add(worker.platform)
        spare = worker.platform.leave(worker, returns=returns)
        if spare is not None:
            self.free.append(spare)

    def keep(self, worker: Worker) -> None:
        """Leave its machine as it is; it takes no more tests until arrived()."""
        if worker.state is not State.LEAVING:
            self._are_fewer.add(worker.platform)
            worker.state = State.KEPT
            worker.platform.retire(worker)
        self.decide(Keep(worker.number))

    def recall(self) -> bool:
        """Free idle workers where fewer machines take tests: they may take what they left to others.

        Return whether there are any.
        """
        fewer, self._are_fewer = self._are_fewer, set()
        if not fewer:
            return False
        recalled = [
            worker
            for platform in self.platforms.values()
            if self.anywhere.count or (platform in fewer and platform.waiting.count)
            for worker in platform.idle
        ]
        for worker in recalled:
            worker.platform.wake(worker)
            self.freed(worker)
        return bool(recalled)

    def gone(self, worker: Worker) -> None:
        """It has ended."""
        if worker.state is not State.LEAVING:
            self.leave(worker, returns=worker.state in (State.BUSY, State.IDLE, State.SPARE))
        if worker.job is not None:
            worker.platform.vacate(worker)
        worker.platform.give_slot_back(worker)
        del self.workers[worker.number]

    def end(self, status: Unstarted, reason: str) -> None:
        """Give up all that waits; nothing is started any more, nor asked for."""
        if self._ending is not None:
            return
        self._ending = status, reason
        for waiting in self.all_waiting():
            self._give_up(waiting, reason, status)

    def settle(self, only: Platform | None) -> None:
        """Ask for machines that are lacking, let go those without need, give up what can not be run.

        `only`: where something happened, unless that is all platforms' affair. Who stops the run tells its workers
        himself.
        """
        if self._ending is not None and self._ending[0] == "infra":
            return
        if only is None or self.anywhere.jobs or self._ending is not None:
            for platform in self.platforms.values():
                self._settle(platform)
        else:
            self._settle(only)
        if self.anywhere.count and all(p.has_nobody() for p in self.platforms.values()):
            reasons = [no_machine_left(platform) for platform in self.platforms.values()]
            self._give_up(self.anywhere, "\n".join(reasons))

    def _settle(self, platform: Platform) -> None:
        if platform.waiting.count or self.anywhere.count:
            platform.refusals.lift(platform.slots)
            if platform.is_unsettled():
                self._staff(platform)
        elif platform.coming or platform.spares:
            self._let_surplus_go(platform)
        while platform.idle and (self._ending or len(platform.idle) > platform.may_return):
            self.let_go(platform.idle[-1])

    def _let_surplus_go(self, platform: Platform) -> None:
        """No test waits for those who are coming or stand by."""
        for worker in platform.spares.copy():  # first, so that none steps in
            self.let_go(worker)
        for worker in list(platform.coming.values()):
            self.let_go(worker)

    def _staff(self, platform: Platform) -> None:
        demand = self._demand(platform)
        coming = platform.coming
        while platform.slots and len(coming) < demand:
            pool = platform.slots.popleft()
            spare = platform.step_in_for(pool)
            if spare is None:
                self._hire(platform, pool)
            else:
                self.free.append(spare)
                demand -= 1
        while platform.spare_slots and demand > len(coming.keys() | platform.standing_by()):
            self._hire(platform, platform.spare_slots.popleft(), is_spare=True)
        while platform.idle and demand > len(coming) + platform.returning:
            self.let_go(
                platform.idle[-1]
            )  # it takes nothing of that: somebody else may, in its place
        if platform.alive == len(platform.spares) and not coming and not platform.returning:
            for worker in platform.spares.copy():
                self.free += filter(None, [platform.step_in(worker)])
        if platform.waiting.count and platform.has_nobody():
            self._give_up(platform.waiting, no_machine_left(platform))

    def _demand(self, platform: Platform) -> int:
        """Return how many tests wait for machines of this platform, but for those that others are coming for."""
        own = platform.waiting.count
        if not self.anywhere.count:
            return own
        elsewhere = sum(
            max(0, len(other.coming) - other.waiting.count)
            for other in self.platforms.values()
            if other is not platform
        )
        return own + max(0, self.anywhere.count - elsewhere)

    def _hire(self, platform: Platform, pool: int, *, is_spare: bool = False) -> None:
        self._last_worker = number = self._last_worker + 1
        self.workers[number] = platform.hire(number, pool, is_spare=is_spare)
        self.decide(Reserve(number, pool))

    def _give_up(self, waiting: Waiting, reason: str, status: Unstarted = "infra") -> None:
        """Those that were tried have a record that counts."""
        tests = tuple(job.test for job in waiting.clear() if not job.attempts)
        if tests:
            self.decide(GiveUp(waiting.name, tests, reason, status))

    def _begin(self, waiting: Waiting, tests: Sequence[Test]) -> None:
        waiting.begin(tests, self._tests + 1)
        self._tests += len(tests)
