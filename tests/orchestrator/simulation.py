"""A pool that is simulated: every order of events, without threads or sleeping, and what must hold after each."""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from atex_fmf import Test
from atex_orchestrator.events import ANY, During, Event
from atex_orchestrator.scheduling import (
    Decision,
    GiveUp,
    Hooks,
    Keep,
    Pool,
    Release,
    Reserve,
    Rules,
    Run,
    Scheduler,
)

from tests.orchestrator.happenings import expired, failed, finished, not_kept, ready, released

Key = tuple[str, int]  # platform or ANY, serial
UNTESTED: tuple[During, ...] = ("reserve", "start", "prepare")
FAILURES = ("fail", "error", "warn")


@dataclass
class Machine:
    """What a worker has."""

    pool: int
    platform: str
    state: Literal["coming", "idle", "busy", "leaving", "keeping", "kept"] = "coming"
    test: Key | None = None
    lease_end: float = math.inf
    ran: int = 0  # tests
    takes: bool = False  # tests, once it is ready
    is_fresh: bool = False  # it is ready since a moment ago
    is_spoilt: bool = False  # by its last test


@dataclass
class Simulation:
    """Machines that do what they are told, in an order that chance has."""

    tests: dict[str, list[Test]]  # ANY, too
    pools: list[Pool]
    rules: Rules
    chance: Random
    faults: float  # how often things go wrong, of 1
    hooks: Hooks = field(default_factory=Hooks)
    now: float = 0.0
    machines: dict[int, Machine] = field(default_factory=dict)
    statuses: dict[Key, list[str]] = field(default_factory=lambda: defaultdict(list))
    tried: dict[Key, set[int]] = field(default_factory=lambda: defaultdict(set))
    given_up: dict[Key, str] = field(default_factory=dict)
    asked: int = 0
    kept: set[str] = field(default_factory=set)  # platforms
    stopped: bool = False
    abandoned: set[Key] = field(default_factory=set)
    lost: Counter[str] = field(
        default_factory=Counter
    )  # machines that failed or were kept, by platform

    def __post_init__(self) -> None:
        own = {name: tests for name, tests in self.tests.items() if name != ANY}
        anywhere = self.tests.get(ANY, [])
        self.scheduler = Scheduler(
            own, self.pools, rules=self.rules, hooks=self.hooks, anywhere=anywhere
        )
        self.durations = {
            (platform, test.serial): test.duration
            for platform, tests in self.tests.items()
            for test in tests
        }

    def run(self, stop_at: int = -1) -> None:
        """Let things happen until nothing is left to decide."""
        self.carry_out(self.scheduler.start(self.now))
        steps = 0
        while not self.scheduler.done:
            if steps == stop_at and not self.stopped:
                self.stopped = True
                self.carry_out(self.scheduler.stop("enough"))
                for machine in self.machines.values():  # whoever stops the run stops them
                    machine.state = "leaving" if machine.state == "idle" else machine.state
                continue
            assert steps < 10_000, "it does not end"
            self.step()
            self.check()
            steps += 1
        assert not self.machines
        self.check_end()

    def step(self) -> None:
        """Let one machine do something."""
        able = [n for n, m in self.machines.items() if m.state != "idle"]
        assert able, f"nobody does anything, and this waits: {self.waiting()}"
        number = self.chance.choice(able)
        machine = self.machines[number]
        self.now += self.chance.random() * 50
        goes_wrong = self.chance.random() < self.faults
        match machine.state:
            case "leaving" | "kept":
                del self.machines[number]
                self.tell(released(number, machine.platform))
            case "keeping" if goes_wrong:
                self.kept.discard(machine.platform)
                machine.state = "idle" if machine.takes else "leaving"
                for tried in self.tried.values():
                    tried.discard(number)  # it is as good as new
                self.tell(not_kept(number, machine.platform))
            case "keeping":
                machine.state = "kept"
                self.lost[machine.platform] += 1
            case "coming" if goes_wrong:
                machine.state = "leaving"
                during = self.chance.choice(UNTESTED)
                self.lost[machine.platform] += 1
                self.tell(failed(number, "dead", machine.platform, during=during))
            case "coming":
                machine.state, machine.takes, machine.is_fresh = "idle", True, True
                machine.lease_end = self.now + self.chance.choice([100.0, 400.0, math.inf])
                end = None if machine.lease_end == math.inf else machine.lease_end
                self.tell(ready(number, machine.platform, lease_end=end))
                machine.is_fresh = False
            case "busy":
                self.end_test(number, machine, goes_wrong=goes_wrong)

    def end_test(self, number: int, machine: Machine, *, goes_wrong: bool) -> None:
        key = machine.test
        assert key is not None
        status = self.chance.choice(["pass", "pass", "fail", "error", "infra"])
        machine.is_spoilt = self.spoils(key, status)
        agent_died = status == "infra" and self.chance.random() < 0.3
        if goes_wrong:
            machine.takes = False
            dies = self.chance.random() < 0.5
            lost = failed(number, "dead", machine.platform, during="test")
            self.tell(lost if dies else expired(number, machine.platform))
            status = "infra" if dies else status
        attempt = len(self.statuses[key])
        self.statuses[key][-1] = status
        machine.test = None
        machine.state = "idle" if machine.takes else "leaving"
        self.tell(
            finished(
                number,
                key[1],
                machine.platform,
                attempt=attempt,
                status=status,
                agent_died=agent_died,
            )
        )

    def spoils(self, key: Key, status: str) -> bool:
        by_tag = key[1] % 5 == 0
        by_exit = self.rules.destructive == "exit" and status in FAILURES
        return self.rules.destructive != "never" and (by_tag or by_exit)

    def tell(self, event: Event) -> None:
        self.carry_out(self.scheduler.handle(event, self.now))

    def carry_out(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Reserve(worker=number, pool=pool):
                    self.reserve(number, pool)
                case Run():
                    self.start(decision)
                case Release(worker=number):
                    machine = self.machines[number]
                    assert machine.state != "busy"
                    machine.state, machine.takes = "leaving", False
                case Keep(worker=number):
                    machine = self.machines[number]
                    assert self.rules.hold_failed
                    assert machine.platform not in self.kept
                    self.kept.add(machine.platform)
                    machine.state = "keeping"
                case GiveUp(platform=platform, tests=tests, status=status):
                    keys = {(platform, test.serial) for test in tests}
                    by_wish = self.stopped or status == "skip" or keys <= self.abandoned
                    assert by_wish or self.is_lost(platform)
                    for test in tests:
                        key = platform, test.serial
                        assert key not in self.statuses
                        assert key not in self.given_up
                        self.given_up[key] = status

    def reserve(self, number: int, pool: int) -> None:
        assert not self.stopped
        self.asked += 1
        assert number == self.asked
        platform = self.pools[pool].platform
        self.machines[number] = Machine(pool, platform)
        there = [m.pool for m in self.machines.values() if m.platform == platform]
        assert there.count(pool) <= self.pools[pool].size + self.rules.spares
        sizes = sum(p.size for p in self.pools if p.platform == platform)
        assert len(there) <= sizes + self.rules.spares

    def start(self, run: Run) -> None:
        machine = self.machines[run.worker]
        own = run.test in self.tests[machine.platform]
        key = (machine.platform if own else ANY), run.test.serial
        assert run.test in self.tests[key[0]]
        assert not self.stopped
        assert machine.state == "idle", (run, machine)
        assert machine.takes
        assert not machine.is_spoilt
        assert self.waits(key)
        assert run.attempt == len(self.statuses[key]) + 1
        assert self.may_start(run.worker, key)
        self.statuses[key].append("running")
        self.tried[key].add(run.worker)
        machine.state, machine.test = "busy", key
        machine.ran += 1

    def waits(self, key: Key) -> bool:
        """Whether the rules want a test to be started, once more or at all."""
        if key in self.given_up or key in self.abandoned:
            return False
        statuses = self.statuses.get(key, [])
        if not statuses:
            return True
        if statuses[-1] in FAILURES:
            return sum(status in FAILURES for status in statuses) <= self.rules.reruns
        # An agent that died is worth one more than that: may_start() decides.
        return statuses[-1] == "infra" and statuses.count("infra") <= self.rules.infra_retries + 1

    def waiting(self) -> list[Key]:
        return [key for key in self.durations if self.waits(key)]

    def may_start(self, number: int, key: Key) -> bool:
        """Whether this machine may take a test: there is time for it, and no other one that never had it."""
        machine = self.machines[number]
        if self.hooks.applicable and not self.hooks.applicable(number, self.test(key)):
            return False
        if not machine.is_fresh and self.durations[key] > machine.lease_end - self.now:
            return False
        others = [
            n
            for n, m in self.machines.items()
            if m.takes and m.ran and (key[0] in (m.platform, ANY)) and m.state in ("busy", "idle")
        ]
        return number not in self.tried[key] or all(n in self.tried[key] for n in others)

    def check(self) -> None:
        """No machine is idle while a test may start there, none is held without need, no platform is starved."""
        if self.stopped or self.failed_fast() or self.hooks != Hooks():
            return
        if self.surely_waiting():
            works = any(machine.state != "idle" for machine in self.machines.values())
            assert works or all(self.is_lost(name) for name, _ in self.surely_waiting())
        waiting = self.surely_waiting()
        doubtful = len(waiting) < len(self.waiting())
        for platform in self.tests.keys() - {ANY}:
            there = {n: m for n, m in self.machines.items() if m.platform == platform}
            idle = [n for n, m in there.items() if m.state == "idle"]
            own = [key for key in waiting if key[0] in (platform, ANY)]
            wasted = [n for n in idle if any(self.may_start(n, key) for key in own)]
            assert not [n for n in wasted if there[n].ran]
            # Only spares stand by, none in place of a machine that is still to come.
            kinds = {there[n].pool for n in wasted}
            coming = [m for m in there.values() if m.pool in kinds and m.state == "coming"]
            assert not wasted or len(wasted) + len(coming) <= self.rules.spares
            starved = any(key[0] == platform for key in own) and len(idle) == len(there)
            assert not starved or self.is_lost(platform)
            if not own:
                running = [m.test for m in there.values() if m.test is not None]
                returning = [key for key in running if self.failures(key) < self.rules.reruns]
                assert doubtful or len(idle) <= len(returning)
                assert doubtful or not any(m.state == "coming" for m in there.values())

    def surely_waiting(self) -> list[Key]:
        """Those of which the rules leave no doubt."""
        return [
            key
            for key in self.waiting()
            if self.statuses.get(key, ["-"])[-1] != "infra"
            or self.statuses[key].count("infra") <= self.rules.infra_retries
        ]

    def is_lost(self, platform: str) -> bool:
        """Whether all machines that it could have had may be gone for good, or hooks take none."""
        names = self.tests.keys() - {ANY} if platform == ANY else {platform}
        sizes = Counter[str]()
        for pool in self.pools:
            sizes[pool.platform] += pool.size
        return self.hooks != Hooks() or all(self.lost[name] >= sizes[name] for name in names)

    def test(self, key: Key) -> Test:
        return next(test for test in self.tests[key[0]] if test.serial == key[1])

    def failures(self, key: Key) -> int:
        return sum(status in FAILURES for status in self.statuses[key])

    def failed_fast(self) -> bool:
        return "skip" in self.given_up.values() or (
            0 < self.rules.fail_fast <= self.last_failures()
        )

    def last_failures(self) -> int:
        return sum(
            bool(statuses)
            and statuses[-1] in FAILURES
            and (self.failures(key) > self.rules.reruns or key in self.abandoned)
            for key, statuses in self.statuses.items()
        )

    def check_end(self) -> None:
        for key in self.durations:
            statuses = self.statuses.get(key, [])
            assert bool(statuses) != (key in self.given_up)
            left = self.stopped or self.failed_fast() or self.is_lost(key[0])
            assert left or key not in self.surely_waiting()
            assert "running" not in statuses
            assert self.failures(key) <= self.rules.reruns + 1
            assert statuses.count("infra") <= self.rules.infra_retries + 2
        skipped = "skip" in self.given_up.values()
        assert not skipped or self.last_failures() >= self.rules.fail_fast > 0
