"""What the scheduler decides in a simulated pool, and how long it takes: 8 platforms, machines that come slowly.

Durations of tests are lognormal with a heavy tail. The clock of the pool is simulated; what is measured is CPU time of
the process (`time.process_time`) in calls of the scheduler alone, garbage collections that begin there included.
"""

import argparse
import heapq
import itertools
import math
import multiprocessing
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from atex_fmf import Test
from atex_orchestrator.events import (
    Event,
    MachineFailed,
    MachineReady,
    MachineReleased,
    TestFinished,
)
from atex_orchestrator.scheduling import (
    Decision,
    GiveUp,
    Pool,
    Release,
    Reserve,
    Rules,
    Run,
    Scheduler,
)

PLATFORMS = 8
MEDIAN, SIGMA = 60.0, 1.2  # seconds of a test, and of its logarithm
TAIL, LONGER = 0.01, 10.0  # such a share of tests takes so many times longer
LONGEST = 3 * 3600.0
NOISE = 0.1  # of the logarithm of what was measured earlier
COMING, COMING_SIGMA = 300.0, 0.7  # seconds until a machine is ready
LEASE = 8 * 3600.0
FAIL, INFRA, DIES, DESTRUCTIVE = (
    0.05,
    0.005,
    0.005,
    0.01,
)  # shares of attempts; of tests the last one


@dataclass(frozen=True)
class Work:
    """Tests of all platforms and how long they take, and machines and when they come."""

    tests: dict[str, list[Test]]
    seconds: dict[tuple[str, int], float]
    pools: list[Pool]
    coming: list[list[float]]  # seconds, of the first machines of each pool


def work(tests: int, machines: int) -> Work:
    """Draw it; the same for the same numbers."""
    chance = Random(tests)
    weights = [1 + 0.25 * n for n in range(PLATFORMS)]
    found: dict[str, list[Test]] = {}
    seconds: dict[tuple[str, int], float] = {}
    pools = []
    for n, weight in enumerate(weights):
        name = f"p{n}"
        share = weight / sum(weights)
        found[name] = []
        for serial in range(1, round(tests * share) + 1):
            duration = chance.lognormvariate(math.log(MEDIAN), SIGMA)
            duration = min(LONGEST, duration * (LONGER if chance.random() < TAIL else 1))
            seconds[name, serial] = duration
            tag = ("destructive",) if chance.random() < DESTRUCTIVE else ()
            limit = math.ceil(duration / 300) * 600.0
            found[name].append(
                Test(name=f"/t{serial}", test="true", serial=serial, duration=limit, tag=tag)
            )
        pools.append(Pool(name, round(machines * share)))
    coming = [[_coming(chance) for _ in range(pool.size)] for pool in pools]
    return Work(found, seconds, pools, coming)


@dataclass
class Simulated:
    """A pool that carries decisions out, with its own clock."""

    work: Work
    scheduler: Scheduler
    faulty: bool
    chance: Random = field(default_factory=lambda: Random(1))
    now: float = 0.0
    cpu: int = 0  # nanoseconds
    decisions: int = 0
    ends: dict[str, float] = field(default_factory=dict)  # of the last test of each platform
    attempts: Counter[tuple[str, int]] = field(default_factory=Counter)
    verdicts: dict[tuple[str, int], str] = field(default_factory=dict)
    repeated: int = 0  # attempts at tests on a machine that had them
    _events: list[tuple[float, int, Event]] = field(default_factory=list)
    _order: "itertools.count[int]" = field(default_factory=itertools.count)
    _platforms: dict[int, str] = field(default_factory=dict)  # of workers that are there
    _running: dict[int, tuple[str, int]] = field(default_factory=dict)
    _busy: set[tuple[str, int]] = field(default_factory=set)
    _had: dict[tuple[str, int], set[int]] = field(default_factory=lambda: defaultdict(set))

    def run(self) -> None:
        """Let the time pass until every test is decided."""
        machines = [iter(coming) for coming in self.work.coming]
        self._carry_out(self._timed(lambda: self.scheduler.start(self.now)), machines)
        while self._events:
            self.now, _order, event = heapq.heappop(self._events)
            if isinstance(event, TestFinished):
                self._busy.discard(self._running.pop(event.worker))
                self.verdicts[event.platform, event.serial] = event.status
                self.ends[event.platform] = self.now
            if isinstance(event, MachineReleased):
                del self._platforms[event.worker]
            decisions = self._timed(lambda event=event: self.scheduler.handle(event, self.now))  # type: ignore[misc]
            self._carry_out(decisions, machines)
        if (
            not self.scheduler.done
            or self._platforms
            or len(self.verdicts) != len(self.work.seconds)
        ):
            raise RuntimeError("not every test was decided, or not every machine was let go")

    def _timed(self, call: Callable[[], list[Decision]]) -> list[Decision]:
        begun = time.process_time_ns()
        decisions = call()
        self.cpu += time.process_time_ns() - begun
        self.decisions += len(decisions)
        return decisions

    def _carry_out(
        self, decisions: Sequence[Decision], machines: Sequence[Iterator[float]]
    ) -> None:
        for decision in decisions:
            match decision:
                case Run():
                    self._start(decision)
                case Reserve(worker=worker, pool=pool):
                    name = self._platforms[worker] = self.work.pools[pool].platform
                    comes = self.now + next(machines[pool], _coming(self.chance))
                    lease = comes + LEASE if self.faulty else None
                    self._later(
                        comes,
                        MachineReady(
                            worker=worker, platform=name, machine="m", session="", lease_end=lease
                        ),
                    )
                case Release(worker=worker):
                    self._later(
                        self.now, MachineReleased(worker=worker, platform=self._platforms[worker])
                    )
                case GiveUp(platform=name, tests=tests):
                    self.verdicts.update(((name, test.serial), "given up") for test in tests)

    def _start(self, run: Run) -> None:
        name = self._platforms[run.worker]
        key = name, run.test.serial
        if run.worker in self._running or key in self._busy:
            raise RuntimeError(f"{key} was started where something runs, or twice at a time")
        self._busy.add(key)
        self.attempts[key] += 1
        if run.attempt != self.attempts[key]:
            raise RuntimeError(f"attempt {run.attempt} at {key} is its {self.attempts[key]}")
        self._running[run.worker] = key
        status = "pass"
        ends = self.now + self.work.seconds[key]
        if self.faulty:
            self.repeated += run.worker in self._had[key]
            self._had[key].add(run.worker)
            status = self.chance.choices(
                ["fail", "infra", "pass"], [FAIL, INFRA, 1 - FAIL - INFRA]
            )[0]
            if self.chance.random() < DIES:
                status = "infra"
                failed = MachineFailed(
                    worker=run.worker, platform=name, machine="m", during="test", reason="-"
                )
                self._later(ends, failed)
        self._later(
            ends,
            TestFinished(
                worker=run.worker,
                platform=name,
                machine="m",
                test=run.test.name,
                serial=run.test.serial,
                attempt=run.attempt,
                status=status,
                seconds=self.work.seconds[key],
            ),
        )

    def _later(self, when: float, event: Event) -> None:
        heapq.heappush(self._events, (when, next(self._order), event))


def _coming(chance: Random) -> float:
    return chance.lognormvariate(math.log(COMING), COMING_SIGMA)


def longest_first(done: Work) -> Callable[[str, Test], float]:
    """Return the rank by durations that were measured earlier, and are not quite those of today."""
    chance = Random(2)
    measured = {
        key: seconds * chance.lognormvariate(0, NOISE) for key, seconds in done.seconds.items()
    }
    return lambda platform, test: -measured[platform, test.serial]


def lower_bounds(done: Work) -> dict[str, float]:
    """Return for each platform when its last test can end at the soonest, whoever runs what."""
    bounds = {}
    for pool, ready in zip(done.pools, done.coming, strict=True):
        durations = [done.seconds[pool.platform, test.serial] for test in done.tests[pool.platform]]
        least, since = math.inf, 0.0
        for there, moment in enumerate(sorted(ready), start=1):
            if least <= moment:
                break
            since += moment
            least = (sum(durations) + since) / there
        bounds[pool.platform] = max(least, min(ready) + max(durations))
    return bounds


def sliced(done: Work) -> dict[str, float]:
    """Return when the last test of each platform ends if N tests are cut into M slices, one for each machine."""
    return {
        pool.platform: max(
            moment + sum(done.seconds[pool.platform, test.serial] for test in slice_)
            for moment, slice_ in zip(
                ready,
                (done.tests[pool.platform][n :: pool.size] for n in range(pool.size)),
                strict=True,
            )
        )
        for pool, ready in zip(done.pools, done.coming, strict=True)
    }


def simulated(tests: int, machines: int, *, order: str, faulty: bool) -> str:
    """Simulate a run; return a row of the table."""
    done = work(tests, machines)
    rank = longest_first(done) if order == "longest" else None
    rules = Rules(reruns=1, spares=2) if faulty else Rules()
    resident = _resident()
    scheduler = Scheduler(done.tests, done.pools, rules=rules, rank=rank)
    of_test = (_resident() - resident) / tests
    pool = Simulated(done, scheduler, faulty)
    pool.run()
    microseconds = pool.cpu / pool.decisions / 1000
    cells = [f"{tests:,} / {machines:,}", order + (", faults" if faulty else "")]
    cells += [f"{pool.decisions:,}", f"{microseconds:.1f}", f"{of_test:.0f}"]
    if faulty:
        cells += ["", "", f"{sum(pool.attempts.values()) - tests:,}, {pool.repeated:,}"]
    else:
        bounds, slices = lower_bounds(done), sliced(done)
        cells.append(_worst(pool.ends[name] / bounds[name] for name in bounds))
        cells.append(_worst(slices[name] / bounds[name] for name in bounds))
        cells.append("")
    return "| " + " | ".join(cells) + " |"


def _worst(ratios: Iterator[float]) -> str:
    each = sorted(ratios)
    return f"{each[0]:.3f} to {each[-1]:.3f}"


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Simulate each run in a process of its own, and print a row of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without the million")
    runs = [
        (100_000, 1_000, "longest", False),
        (100_000, 1_000, "plan", False),
        (100_000, 1_000, "longest", True),
        (1_000_000, 10_000, "longest", False),
        (1_000_000, 10_000, "longest", True),
    ]
    if parser.parse_args().quick:
        runs = runs[:3]
    print(
        "| tests / machines | order | decisions | microseconds a decision | bytes a test |"
        " makespan / bound | the same, N/M slices | further attempts, on the same machine |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as one_by_one:
        for tests, machines, order, faulty in runs:
            row = one_by_one.submit(simulated, tests, machines, order=order, faulty=faulty)
            print(row.result(), flush=True)


if __name__ == "__main__":
    main()
