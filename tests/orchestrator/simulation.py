"""A pool that is simulated: every order of events, without threads or sleeping."""

from collections import Counter
from dataclasses import dataclass, field
from typing import get_args

from atex_orchestrator.events import During
from atex_orchestrator.scheduling import Decision, GiveUp, Keep, Release, Reserve, Run
from atex_orchestrator.scheduling.scheduler import Scheduler
from atex_orchestrator.scheduling.staff import REPLACEMENTS
from hypothesis import strategies as st

from tests.orchestrator.happenings import expired, failed, finished, not_kept, ready, released


@dataclass
class Simulation:
    """A pool that does what it is told, in an order that hypothesis chooses."""

    scheduler: Scheduler
    sizes: list[int]
    tests: int
    pools: dict[int, int] = field(default_factory=dict)  # of the workers that have not ended
    replaceable: int = 0  # machines that failed before their first test
    coming: set[int] = field(default_factory=set)
    running: dict[int, int] = field(default_factory=dict)
    leaving: set[int] = field(default_factory=set)
    asked: Counter[int] = field(default_factory=Counter)
    decided: Counter[int] = field(default_factory=Counter)
    last_failed: set[int] = field(default_factory=set)  # workers whose last test failed
    kept: set[int] = field(default_factory=set)
    others: set[int] = field(default_factory=set)  # that were there when one was kept, and work
    keeping: set[int] = field(default_factory=set)  # it is open yet whether they can be kept
    not_keepable: set[int] = field(default_factory=set)  # pools
    expired: set[int] = field(default_factory=set)
    stopped: bool = False

    def carry_out(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Reserve(worker=worker, pool=pool):
                    self.asked[pool] += 1
                    self.coming.add(worker)
                    self.pools[worker] = pool
                    assert Counter(self.pools.values())[pool] <= self.sizes[pool]
                    replaced = sum(
                        max(0, self.asked[n] - size) for n, size in enumerate(self.sizes)
                    )
                    assert replaced <= min(self.replaceable, REPLACEMENTS) + len(self.expired)
                case Run(worker=worker, test=test):
                    assert worker not in self.running
                    assert worker not in self.coming | self.leaving | self.keeping | self.kept
                    self.running[worker] = test.serial
                    self.decided[test.serial] += 1
                case Release(worker=worker):
                    assert worker not in self.running
                    self.coming.discard(worker)
                    self.leaving.add(worker)
                case Keep(worker=worker):
                    assert worker not in self.running
                    assert worker in self.last_failed - self.expired
                    assert not self.kept | self.keeping
                    assert self.pools[worker] not in self.not_keepable
                    waiting = self.decided.total() < self.tests
                    assert self.running or worker in self.leaving or not waiting
                    self.keeping.add(worker)
                    self.others = set(self.running)
                    self.leaving.discard(worker)
                case GiveUp(tests=tests):
                    # It is not for want of the one that was kept.
                    assert self.stopped or not self.others
                    self.decided.update(test.serial for test in tests)

    def step(self, choose: st.DataObject) -> None:
        worker = choose.draw(
            st.sampled_from(sorted(self.coming | self.running.keys() | self.leaving | self.keeping))
        )
        dies = choose.draw(st.booleans())
        if worker in self.leaving:
            self.leaving.discard(worker)
            del self.pools[worker]
            self.others.discard(worker)
            self.carry_out(self.scheduler.handle(released(worker), 0.0))
        elif worker in self.keeping:
            self.keeping.discard(worker)
            if dies:
                self.others.clear()
                self.not_keepable.add(self.pools[worker])
                self.carry_out(self.scheduler.handle(not_kept(worker), 0.0))
                assert worker in self.running or worker in self.leaving
            else:
                self.kept.add(worker)
                self.leaving.add(worker)
        elif worker in self.coming:
            self.coming.discard(worker)
            if dies:
                self.leaving.add(worker)
                during = choose.draw(st.sampled_from(get_args(During)[:3]))
                self.replaceable += during != "reserve"
                self.carry_out(self.scheduler.handle(failed(worker, "dead", during=during), 0.0))
            else:
                self.carry_out(self.scheduler.handle(ready(worker), 0.0))
                assert worker in self.running or worker in self.leaving  # never idle
        else:
            serial = self.running[worker]
            status = choose.draw(st.sampled_from(["pass", "fail"]))
            self.last_failed.discard(worker)
            self.last_failed |= {worker} if status == "fail" else set()
            expires = choose.draw(st.booleans())
            if dies or expires:
                self.others.discard(worker)
                ended = expired(worker) if expires else failed(worker, "dead", during="test")
                self.expired |= {worker} if expires else set()
                self.carry_out(self.scheduler.handle(ended, 0.0))
                del self.running[worker]
                self.leaving.add(worker)
                self.carry_out(self.scheduler.handle(finished(worker, serial, status=status), 0.0))
            else:
                del self.running[worker]
                self.carry_out(self.scheduler.handle(finished(worker, serial, status=status), 0.0))
                assert worker in self.running or worker in self.leaving | self.keeping
