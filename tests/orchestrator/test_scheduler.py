"""The scheduler against a simulated pool: every order of events, without threads or sleeping."""

from collections import Counter
from dataclasses import dataclass, field
from typing import get_args

import msgspec
from atex_fmf import Test
from atex_orchestrator.events import (
    During,
    MachineExpired,
    MachineFailed,
    MachineReady,
    MachineReleased,
    TestFinished,
)
from atex_orchestrator.scheduler import (
    REASONS,
    REPLACEMENTS,
    Decision,
    GiveUp,
    Keep,
    Pool,
    Release,
    Reserve,
    Run,
    Scheduler,
)
from hypothesis import given
from hypothesis import strategies as st


def plan(count: int) -> list[Test]:
    return [Test(name=f"/t{serial}", test="true", serial=serial) for serial in range(1, count + 1)]


def ready(worker: int, platform: str = "p") -> MachineReady:
    return MachineReady(worker=worker, platform=platform, machine=f"m{worker}", session="0" * 32)


def finished(
    worker: int,
    serial: int,
    platform: str = "p",
    *,
    attempt: int = 1,
    status: str = "pass",
    agent_died: bool = False,
) -> TestFinished:
    return TestFinished(
        worker=worker,
        platform=platform,
        machine=f"m{worker}",
        test=f"/t{serial}",
        serial=serial,
        attempt=attempt,
        status="infra" if agent_died else status,
        seconds=0.1,
        agent_died=agent_died,
    )


def failed(
    worker: int, reason: str, platform: str = "p", *, during: During = "reserve"
) -> MachineFailed:
    return MachineFailed(
        worker=worker, platform=platform, machine=None, during=during, reason=reason
    )


def released(worker: int, platform: str = "p") -> MachineReleased:
    return MachineReleased(worker=worker, platform=platform)


def expired(worker: int, platform: str = "p") -> MachineExpired:
    return MachineExpired(worker=worker, platform=platform, machine=f"m{worker}")


def one_platform(tests: int, *sizes: int) -> Scheduler:
    return Scheduler({"p": plan(tests)}, [Pool("p", size) for size in sizes])


def runs(decisions: list[Decision]) -> list[tuple[int, int]]:
    return [(d.worker, d.test.serial) for d in decisions if isinstance(d, Run)]


def test_a_free_machine_takes_the_next_test() -> None:
    scheduler = one_platform(3, 2)
    assert scheduler.start() == [Reserve(1, 0), Reserve(2, 0)]
    assert runs(scheduler.handle(ready(2))) == [(2, 1)]
    assert runs(scheduler.handle(ready(1))) == [(1, 2)]
    assert runs(scheduler.handle(finished(2, 1))) == [(2, 3)]
    assert scheduler.handle(finished(1, 2)) == [Release(1)]


def test_asks_for_no_more_machines_than_tests() -> None:
    assert one_platform(2, 5).start() == [Reserve(1, 0), Reserve(2, 0)]
    assert one_platform(0, 5).start() == []
    assert one_platform(0, 5).done


def test_pools_of_a_platform_are_used_in_turn() -> None:
    assert one_platform(3, 1, 2).start() == [Reserve(1, 0), Reserve(2, 1), Reserve(3, 1)]


def test_a_machine_that_fails_makes_room_for_one_not_asked_for_yet() -> None:
    scheduler = one_platform(1, 2)
    assert scheduler.start() == [Reserve(1, 0)]
    assert scheduler.handle(failed(1, "refused")) == [Reserve(2, 0)]
    assert runs(scheduler.handle(ready(2))) == [(2, 1)]


def test_machines_still_coming_are_let_go_with_the_last_test() -> None:
    scheduler = one_platform(2, 2)
    scheduler.start()
    scheduler.handle(ready(1))
    decisions = scheduler.handle(finished(1, 1))
    assert runs(decisions) == [(1, 2)]
    assert decisions[1:] == [Release(2)]
    assert scheduler.handle(ready(2)) == []  # it was too late to stop


def test_without_a_machine_the_rest_is_given_up_with_all_reasons() -> None:
    scheduler = one_platform(3, 2)
    scheduler.start()
    scheduler.handle(failed(1, "a: refused"))
    [give_up] = scheduler.handle(failed(2, "b: timed out"))
    assert isinstance(give_up, GiveUp)
    assert [test.serial for test in give_up.tests] == [1, 2, 3]
    assert give_up.reason == "no machine of platform p is left:\na: refused\nb: timed out"
    assert not scheduler.done
    scheduler.handle(released(1))
    scheduler.handle(released(2))
    assert scheduler.done


def test_the_reasons_of_a_great_many_machines_are_counted() -> None:
    scheduler = one_platform(99, 99)
    scheduler.start()
    decisions = [
        scheduler.handle(failed(worker, f"m{worker}: refused")) for worker in range(1, 100)
    ]
    [give_up] = decisions[-1]
    assert isinstance(give_up, GiveUp)
    assert give_up.reason.count("refused") == REASONS
    assert give_up.reason.endswith("and 89 more")


def test_a_machine_that_can_not_be_prepared_is_replaced_when_it_is_given_back() -> None:
    scheduler = one_platform(2, 2)
    assert scheduler.start() == [Reserve(1, 0), Reserve(2, 0)]
    assert scheduler.handle(failed(1, "a: exit code 1", during="prepare")) == []
    assert scheduler.handle(failed(2, "b: no python", during="start")) == []
    assert scheduler.handle(released(2)) == [Reserve(3, 0)]
    assert scheduler.handle(released(1)) == [Reserve(4, 0)]
    assert runs(scheduler.handle(ready(3))) == [(3, 1)]


def test_machines_that_nobody_asked_for_yet_go_before_a_replacement() -> None:
    scheduler = one_platform(1, 1, 1)
    assert scheduler.start() == [Reserve(1, 0)]
    assert scheduler.handle(failed(1, "a: exit code 1", during="prepare")) == [Reserve(2, 1)]
    assert scheduler.handle(released(1)) == []  # one is coming, and one is enough
    assert scheduler.handle(failed(2, "b: exit code 1", during="prepare")) == [Reserve(3, 0)]


def test_only_so_many_machines_are_replaced() -> None:
    scheduler = one_platform(1, 1)
    scheduler.start()
    for worker in range(1, REPLACEMENTS + 1):
        assert scheduler.handle(failed(worker, f"m{worker}: no", during="prepare")) == []
        assert scheduler.handle(released(worker)) == [Reserve(worker + 1, 0)]
    [give_up] = scheduler.handle(failed(REPLACEMENTS + 1, "the last", during="prepare"))
    assert isinstance(give_up, GiveUp)
    assert f"m{REPLACEMENTS}: no\nand 1 more" in give_up.reason
    assert scheduler.handle(released(REPLACEMENTS + 1)) == []
    assert scheduler.done


def test_where_there_is_no_other_machine_the_rest_is_given_up() -> None:
    scheduler = one_platform(1, 1)
    scheduler.start()
    scheduler.handle(failed(1, "a: exit code 1", during="prepare"))
    assert scheduler.handle(released(1)) == [Reserve(2, 0)]
    [give_up] = scheduler.handle(released(2))  # it was offered the same one, and left
    assert isinstance(give_up, GiveUp)
    assert give_up.reason == "no machine of platform p is left:\na: exit code 1"
    assert scheduler.done


def test_the_last_lines_of_a_phase_are_in_the_note() -> None:
    scheduler = one_platform(1, 1)
    scheduler.start()
    failure = failed(1, "a: prepare phase 'x' failed: exit code 1", during="prepare")
    output = msgspec.structs.replace(failure, output="p/@prepare.a/x.txt", tail=("one", "two"))
    scheduler.handle(output)
    scheduler.handle(released(1))
    [give_up] = scheduler.handle(released(2))
    assert isinstance(give_up, GiveUp)
    assert give_up.reason.splitlines() == [
        "no machine of platform p is left:",
        "a: prepare phase 'x' failed: exit code 1; its output is in files/p/@prepare.a/x.txt",
        "    one",
        "    two",
    ]


def test_a_machine_lost_in_a_test_takes_no_other() -> None:
    scheduler = one_platform(2, 1)
    scheduler.start()
    scheduler.handle(ready(1))
    [give_up] = scheduler.handle(failed(1, "m1: lost", during="test"))
    assert isinstance(give_up, GiveUp)
    assert scheduler.handle(finished(1, 1, status="infra")) == [Release(1)]
    scheduler.handle(released(1))
    assert scheduler.done


def test_a_platform_in_trouble_leaves_the_others_alone() -> None:
    scheduler = Scheduler({"p": plan(1), "q": plan(1)}, [Pool("p", 1), Pool("q", 1)])
    assert scheduler.start() == [Reserve(1, 0), Reserve(2, 1)]
    [give_up] = scheduler.handle(failed(1, "refused"))
    assert isinstance(give_up, GiveUp)
    assert give_up.platform == "p"
    assert runs(scheduler.handle(ready(2, "q"))) == [(2, 1)]


def test_a_platform_without_a_pool_is_given_up() -> None:
    [give_up] = Scheduler({"p": plan(1)}, []).start()
    assert isinstance(give_up, GiveUp)
    assert give_up.reason == "platform p has no machine"


def test_stop_gives_up_what_waits_and_starts_nothing_more() -> None:
    scheduler = one_platform(5, 3)
    scheduler.start()
    scheduler.handle(ready(1))
    [give_up] = scheduler.stop("interrupted")
    assert isinstance(give_up, GiveUp)
    assert [test.serial for test in give_up.tests] == [2, 3, 4, 5]
    assert scheduler.handle(finished(1, 1)) == [Release(1)]
    assert scheduler.handle(failed(2, "aborted")) == []
    assert scheduler.handle(ready(3)) == [Release(3)]
    assert scheduler.stop("again") == []


def test_a_test_that_kills_the_agent_is_run_once_more_on_the_same_machine() -> None:
    scheduler = one_platform(2, 1)
    scheduler.start()
    scheduler.handle(ready(1))
    [again] = scheduler.handle(finished(1, 1, agent_died=True))
    assert isinstance(again, Run)
    assert (again.worker, again.test.serial, again.attempt) == (1, 1, 2)
    assert runs(scheduler.handle(finished(1, 1, attempt=2, agent_died=True))) == [(1, 2)]
    scheduler.stop("interrupted")
    assert scheduler.handle(finished(1, 2, agent_died=True)) == [Release(1)]


def holding(tests: int, size: int, *platforms: str) -> Scheduler:
    """Return a scheduler that keeps machines of failed tests, and all of whose machines are ready."""
    names = platforms or ("p",)
    scheduler = Scheduler(
        {name: plan(tests) for name in names}, [Pool(n, size) for n in names], hold_failed=True
    )
    for decision in scheduler.start():
        assert isinstance(decision, Reserve)
        scheduler.handle(ready(decision.worker, names[decision.pool]))
    return scheduler


def test_the_machine_of_a_failed_test_is_kept_and_takes_no_other() -> None:
    scheduler = holding(3, 2)
    assert scheduler.handle(finished(1, 1, status="fail")) == [Keep(1)]
    assert runs(scheduler.handle(finished(2, 2))) == [(2, 3)]
    scheduler.handle(released(1))
    assert scheduler.handle(finished(2, 3)) == [Release(2)]
    scheduler.handle(released(2))
    assert scheduler.done


def test_without_being_asked_no_machine_is_kept() -> None:
    scheduler = one_platform(1, 1)
    scheduler.start()
    scheduler.handle(ready(1))
    assert scheduler.handle(finished(1, 1, status="fail")) == [Release(1)]


def test_only_machines_of_failed_tests_are_kept() -> None:
    for status in ("pass", "info", "skip", "warn", "infra"):
        assert holding(1, 1).handle(finished(1, 1, status=status)) == [Release(1)]
    assert holding(1, 1).handle(finished(1, 1, status="error")) == [Keep(1)]


def test_one_machine_of_each_platform_is_kept() -> None:
    scheduler = holding(2, 2, "p", "q")
    assert scheduler.handle(finished(1, 1, "p", status="fail")) == [Keep(1)]
    assert scheduler.handle(finished(2, 2, "p", status="fail")) == [Release(2)]
    assert scheduler.handle(finished(3, 1, "q", status="error")) == [Keep(3)]


def test_the_last_machine_goes_on_while_tests_wait() -> None:
    scheduler = holding(3, 1)
    assert runs(scheduler.handle(finished(1, 1, status="fail"))) == [(1, 2)]
    assert runs(scheduler.handle(finished(1, 2))) == [(1, 3)]
    assert scheduler.handle(finished(1, 3, status="fail")) == [Keep(1)]


def test_a_machine_that_is_coming_takes_nothing_yet() -> None:
    """It may never come."""
    scheduler = Scheduler({"p": plan(3)}, [Pool("p", 1), Pool("p", 1)], hold_failed=True)
    scheduler.start()
    scheduler.handle(ready(1))
    assert runs(scheduler.handle(finished(1, 1, status="fail"))) == [(1, 2)]
    scheduler.handle(failed(2, "exit code 1", during="prepare"))
    scheduler.handle(released(2))
    assert runs(scheduler.handle(finished(1, 2))) == [(1, 3)]
    assert scheduler.handle(finished(1, 3, status="fail")) == [Keep(1)]


def test_a_machine_that_a_test_took_out_of_use_is_kept_also_where_it_is_the_last() -> None:
    scheduler = holding(2, 1)
    [give_up] = scheduler.handle(failed(1, "it burns", during="test"))
    assert isinstance(give_up, GiveUp)
    assert scheduler.handle(finished(1, 1, status="error")) == [Keep(1)]


def test_no_machine_is_kept_when_the_run_is_stopped() -> None:
    scheduler = holding(1, 1)
    scheduler.stop("enough")
    assert scheduler.handle(finished(1, 1, status="fail")) == [Release(1)]


def test_a_machine_whose_lease_has_ended_is_replaced_when_it_is_given_back() -> None:
    scheduler = holding(3, 1)
    assert scheduler.handle(expired(1)) == []
    assert scheduler.handle(finished(1, 1, status="fail")) == [Release(1)]  # it can not be kept
    assert scheduler.handle(released(1)) == [Reserve(2, 0)]
    assert runs(scheduler.handle(ready(2))) == [(2, 2)]
    assert runs(scheduler.handle(finished(2, 2))) == [(2, 3)]
    scheduler.handle(expired(2))
    assert scheduler.handle(finished(2, 3)) == [Release(2)]
    assert scheduler.handle(released(2)) == []
    assert scheduler.done


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
                    assert worker not in self.coming | self.leaving
                    self.running[worker] = test.serial
                    self.decided[test.serial] += 1
                case Release(worker=worker):
                    assert worker not in self.running
                    self.coming.discard(worker)
                    self.leaving.add(worker)
                case Keep(worker=worker):
                    assert worker not in self.running
                    assert worker in self.last_failed - self.expired
                    assert not self.kept
                    waiting = self.decided.total() < self.tests
                    assert self.running or worker in self.leaving or not waiting
                    self.kept.add(worker)
                    self.others = set(self.running)
                    self.leaving.add(worker)
                case GiveUp(tests=tests):
                    assert (
                        self.stopped or not self.others
                    )  # it is not for want of the one that was kept
                    self.decided.update(test.serial for test in tests)

    def step(self, choose: st.DataObject) -> None:
        worker = choose.draw(
            st.sampled_from(sorted(self.coming | self.running.keys() | self.leaving))
        )
        dies = choose.draw(st.booleans())
        if worker in self.leaving:
            self.leaving.discard(worker)
            del self.pools[worker]
            self.others.discard(worker)
            self.carry_out(self.scheduler.handle(released(worker)))
        elif worker in self.coming:
            self.coming.discard(worker)
            if dies:
                self.leaving.add(worker)
                during = choose.draw(st.sampled_from(get_args(During)[:3]))
                self.replaceable += during != "reserve"
                self.carry_out(self.scheduler.handle(failed(worker, "dead", during=during)))
            else:
                self.carry_out(self.scheduler.handle(ready(worker)))
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
                self.carry_out(self.scheduler.handle(ended))
                del self.running[worker]
                self.leaving.add(worker)
                self.carry_out(self.scheduler.handle(finished(worker, serial, status=status)))
            else:
                del self.running[worker]
                self.carry_out(self.scheduler.handle(finished(worker, serial, status=status)))
                assert worker in self.running or worker in self.leaving


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, REPLACEMENTS), st.data())
def test_nothing_is_given_up_while_a_machine_can_be_replaced(
    tests: int, size: int, failures: int, choose: st.DataObject
) -> None:
    """So many machines fail before their first test, and all others work: every test is run."""
    scheduler = one_platform(tests, size)
    coming: list[int] = []
    waiting = set(range(1, tests + 1))
    decisions = scheduler.start()
    while decisions or coming:
        assert not [decision for decision in decisions if isinstance(decision, GiveUp)]
        coming += [decision.worker for decision in decisions if isinstance(decision, Reserve)]
        worker = coming.pop(choose.draw(st.integers(0, len(coming) - 1)))
        if failures and choose.draw(st.booleans()):
            failures -= 1
            decisions = scheduler.handle(failed(worker, "no", during="prepare"))
            decisions += scheduler.handle(released(worker))
            continue
        decisions = scheduler.handle(ready(worker))
        while ran := runs(decisions):
            [(_worker, serial)] = ran
            waiting.remove(serial)
            coming = [w for w in coming if Release(w) not in decisions]
            decisions = scheduler.handle(finished(worker, serial))
        decisions = scheduler.handle(released(worker))
    assert not waiting


@given(
    st.integers(0, 12),
    st.lists(st.integers(0, 4), max_size=3),
    st.integers(0, 40),
    st.booleans(),
    st.data(),
)
def test_every_test_is_decided_exactly_once_whatever_happens(
    tests: int, sizes: list[int], stop_at: int, hold_failed: bool, choose: st.DataObject
) -> None:
    """And a machine is kept where the last thing that any of them ran had failed, and that was asked for."""
    pools = [Pool("p", size) for size in sizes]
    scheduler = Scheduler({"p": plan(tests)}, pools, hold_failed=hold_failed)
    simulation = Simulation(scheduler, sizes, tests)
    simulation.carry_out(simulation.scheduler.start())
    steps = 0
    while not simulation.scheduler.done:
        if steps == stop_at:
            simulation.stopped = True
            simulation.carry_out(simulation.scheduler.stop("enough"))
            if simulation.scheduler.done:
                break
        simulation.step(choose)
        steps += 1
    assert simulation.decided == Counter(range(1, tests + 1))
    assert not simulation.coming
    assert not simulation.running
    assert not simulation.leaving
    if hold_failed and not simulation.stopped:
        assert simulation.kept or not simulation.last_failed - simulation.expired
    else:
        assert hold_failed or not simulation.kept
