"""Which machine does what next: events in, decisions out.

Pure: no clock, no threads, no I/O, so that it is tested and simulated without any of them. Whoever owns it carries
the decisions out, in their order, and says by events what came of them.

The rules: tests of a platform start in the plan's order; a free machine takes the next one; nobody waits for the last
machine to come; no more machines are asked for than there are tests waiting; a machine that nothing is left for is
let go at once; one that failed is not used again; one that was reserved and failed before its first test is replaced,
when it is given back and after those that nobody asked for yet, so many times for a platform; one whose lease has ended
likewise, any number of times; a platform without machines gives its waiting tests up; a test under which the agent was
killed is run once more, where it was. Every test is decided upon: it is run, or given up. Where that is asked for, one
machine of each platform on which a test failed is kept as it is, but not while tests are waiting and no other is there:
one that is coming may never come. Where that proves impossible it goes on, and none of its pool is tried again.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Any

from atex_fmf import Test

from atex_orchestrator.events import (
    Event,
    MachineExpired,
    MachineFailed,
    MachineNotKept,
    MachineReady,
    MachineReleased,
    TestFinished,
)
from atex_orchestrator.scheduling.decisions import (
    Decision,
    GiveUp,
    Keep,
    Pool,
    Release,
    Reserve,
    Run,
)
from atex_orchestrator.scheduling.hooks import Hooks
from atex_orchestrator.scheduling.rules import Rules
from atex_orchestrator.scheduling.tries import Tries

REPLACEMENTS = 10  # of machines that failed before their first test, for each platform
REASONS = 10  # of machines that failed, named in the note of each test that is given up; events.jsonl has all
LONGEST_NOTE = 8000  # characters; each test that is given up repeats it
WORTH_A_LOOK = ("fail", "error")  # statuses for which a machine may be kept


class _State(Enum):
    COMING = auto()
    FREE = auto()
    BUSY = auto()
    KEPT = auto()  # unless MachineNotKept comes
    LEAVING = auto()  # failed or let go: takes no test


class _Worker:
    def __init__(self, platform: "_Platform", pool: int) -> None:
        self.platform = platform
        self.pool = pool
        self.state = _State.COMING
        self.test: Test | None = None  # that it runs, or ran last
        self.is_replaced = False


class _Platform:
    def __init__(self, name: str, tests: Iterable[Test]) -> None:
        self.name = name
        self.waiting = deque(tests)
        self.unused: deque[int] = deque()  # the pool of each machine that can be asked for
        self.coming: set[int] = set()
        self.usable = 0  # workers that are not leaving
        self.replaced = 0  # machines so far
        self.due = 0  # machines that will be asked for when those that they replace are given back
        self.failures: list[MachineFailed] = []
        self.has_kept = False  # a machine


class Scheduler:
    """Decides for all platforms and pools of one run. Not thread-safe: one owner calls it."""

    def __init__(
        self,
        tests: Mapping[str, Sequence[Test]],
        pools: Sequence[Pool],
        *,
        rules: Rules = Rules(),
        hooks: Hooks = Hooks(),
        anywhere: Sequence[Test] = (),
        rank: Callable[[str, Test], Any] | None = None,
        hired: int = 0,
    ) -> None:
        """Take the tests of each platform, and the pools, each of a known platform.

        `anywhere`: tests that are bound to no platform; a machine of any runs them. `rank(platform, test)` is a key by
        which tests are started, the smallest first, tests that are bound to none by `rank(ANY, test)`; ties, and all
        without it, in the order given. Workers are counted on from `hired`.
        """
        self._hold_failed = rules.hold_failed
        self._platforms = {
            name: _Platform(name, of_platform) for name, of_platform in tests.items()
        }
        self._workers: dict[int, _Worker] = {}
        self._not_keepable: set[int] = set()  # pools
        self._hired = hired
        self._stopped = False
        for index, pool in enumerate(pools):
            self._platforms[pool.platform].unused.extend([index] * pool.size)

    @property
    def done(self) -> bool:
        """Whether nothing is left to decide: every test was, and every worker has ended."""
        return not self._workers and not any(
            platform.waiting for platform in self._platforms.values()
        )

    def restore(self, platform: str, serial: int, tries: Tries) -> None:
        """Before start(): attempts at this test were made by a process that is gone."""
        raise NotImplementedError

    def adopt(self, pool: int, running: tuple[Test, int] | None) -> int:
        """Before start(): a machine of this pool lives, and runs this attempt at a test; return its worker.

        MachineReady comes of it, as of any, and TestFinished of what it runs without a Run.
        """
        raise NotImplementedError

    def add(self, platform: str, test: Test, now: float) -> list[Decision]:
        """Schedule one more test of this platform (ANY: of none); its serial is new."""
        raise NotImplementedError

    def dismiss(self, number: int, now: float) -> list[Decision]:
        """Use this worker's machine no more and replace it; what runs there is expected to end."""
        raise NotImplementedError

    def abandon(self, platform: str, serial: int, reason: str, now: float) -> list[Decision]:
        """Start no further attempt at this test; where it was never started it is given up for this reason."""
        raise NotImplementedError

    def start(self, now: float) -> list[Decision]:
        """Return the first decisions of the run; `now`, here and below: seconds since the epoch."""
        return [
            decision for platform in self._platforms.values() for decision in self._staff(platform)
        ]

    def handle(self, event: Event, now: float) -> list[Decision]:
        """Return what follows from `event`; nothing from one that changes nothing, or of a worker long gone."""
        match event:
            case TestFinished(worker=number, agent_died=True, attempt=1):
                return self._run_again(number) or self._freed(number)
            case TestFinished(worker=number, status=status):
                return self._tested(number, status)
            case MachineReady(worker=number):
                return self._freed(number)
            case MachineFailed():
                return self._failed(event)
            case MachineExpired(worker=number):
                self._expired(number)
            case MachineNotKept(worker=number):
                return self._not_kept(number)
            case MachineReleased(worker=number):
                return self._gone(number)
        return []

    def stop(self, reason: str) -> list[Decision]:
        """Give up every waiting test; from here on nothing is started or asked for."""
        self._stopped = True
        decisions: list[Decision] = []
        for platform in self._platforms.values():
            platform.unused.clear()
            decisions += self._give_up(platform, reason)
        return decisions

    def _freed(self, number: int) -> list[Decision]:
        worker = self._workers.get(number)
        if worker is None or worker.state is _State.LEAVING:
            return []
        platform = worker.platform
        platform.coming.discard(number)
        worker.state = _State.FREE
        if not platform.waiting:
            return [self._let_go(number)]
        worker.state = _State.BUSY
        worker.test = platform.waiting.popleft()
        decisions: list[Decision] = [Run(number, worker.test)]
        if not platform.waiting:
            decisions += [self._let_go(coming) for coming in sorted(platform.coming)]
        return decisions

    def _tested(self, number: int, status: str) -> list[Decision]:
        worker = self._workers.get(number)
        if worker is None:
            return []
        failed = worker.state is _State.LEAVING
        if status in WORTH_A_LOOK and self._may_keep(worker):
            worker.platform.has_kept = True
            if not failed:
                worker.state = _State.KEPT
            return [Keep(number)]
        return [Release(number)] if failed else self._freed(number)

    def _may_keep(self, worker: _Worker) -> bool:
        platform = worker.platform
        if not self._hold_failed or self._stopped or platform.has_kept or worker.is_replaced:
            return False
        if worker.pool in self._not_keepable:
            return False
        there = platform.usable - len(platform.coming)
        is_last = worker.state is not _State.LEAVING and there == 1
        return not (is_last and platform.waiting)

    def _not_kept(self, number: int) -> list[Decision]:
        worker = self._workers.get(number)
        if worker is None:
            return []
        worker.platform.has_kept = False
        self._not_keepable.add(worker.pool)
        return [Release(number)] if worker.state is _State.LEAVING else self._freed(number)

    def _run_again(self, number: int) -> list[Decision]:
        """Once, whatever is set: spec/AGENT.md, "A run"."""
        worker = self._workers.get(number)
        if self._stopped or worker is None or worker.state is not _State.BUSY or not worker.test:
            return []
        return [Run(number, worker.test, attempt=2)]

    def _failed(self, event: MachineFailed) -> list[Decision]:
        worker = self._workers.get(event.worker)
        if worker is None or worker.state is _State.LEAVING:
            return []
        platform = worker.platform
        platform.failures.append(event)
        untested = worker.state is _State.COMING and event.during != "reserve"
        if untested and platform.replaced < REPLACEMENTS:
            worker.is_replaced = True
            platform.replaced += 1
            platform.due += 1
        self._let_go(event.worker)  # it leaves by itself, or waits to be told after its test
        return self._staff(platform)

    def _expired(self, number: int) -> None:
        worker = self._workers.get(number)
        if worker is not None and worker.state is not _State.LEAVING:
            worker.is_replaced = True
            worker.platform.due += 1
            self._let_go(number)  # it waits to be told after its test

    def _gone(self, number: int) -> list[Decision]:
        worker = self._workers.get(number)
        if worker is None:
            return []
        if worker.state is not _State.LEAVING:
            self._let_go(number)
        del self._workers[number]
        if worker.is_replaced:
            worker.platform.due -= 1
            worker.platform.unused.append(worker.pool)
        return self._staff(worker.platform)

    def _let_go(self, number: int) -> Release:
        worker = self._workers[number]
        worker.state = _State.LEAVING
        worker.platform.coming.discard(number)
        worker.platform.usable -= 1
        return Release(number)

    def _staff(self, platform: _Platform) -> list[Decision]:
        """Ask for as many machines as there are tests waiting and machines to be had."""
        decisions: list[Decision] = []
        while platform.unused and len(platform.coming) < len(platform.waiting):
            self._hired += 1
            pool = platform.unused.popleft()
            self._workers[self._hired] = _Worker(platform, pool)
            platform.coming.add(self._hired)
            platform.usable += 1
            decisions.append(Reserve(self._hired, pool))
        if not platform.usable and not platform.due:
            decisions += self._give_up(platform, _no_machine_left(platform))
        return decisions

    def _give_up(self, platform: _Platform, reason: str) -> list[Decision]:
        if not platform.waiting:
            return []
        tests = tuple(platform.waiting)
        platform.waiting.clear()
        return [GiveUp(platform.name, tests, reason)]


def _no_machine_left(platform: _Platform) -> str:
    """Return why nothing can be run: a line for each machine, and below it what its phase printed last, each once."""
    if not platform.failures:
        return f"platform {platform.name} has no machine"
    lines = [f"no machine of platform {platform.name} is left:"]
    told: set[tuple[str, ...]] = set()  # machines of a kind fail in the same way
    for failure in platform.failures[:REASONS]:
        lines.append(failure.reason)
        if failure.output:
            lines[-1] += f"; its output is in files/{failure.output}"
        if failure.tail not in told:
            told.add(failure.tail)
            lines += [f"    {line}" for line in failure.tail]
    if len(platform.failures) > REASONS:
        lines.append(f"and {len(platform.failures) - REASONS} more")
    return "\n".join(lines)[:LONGEST_NOTE]
