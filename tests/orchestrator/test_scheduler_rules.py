"""What the scheduler does by rules: trying again, spares, leases, order, tests of no platform, going on."""

import msgspec
import pytest
from atex_fmf import Test
from atex_orchestrator.events import ANY
from atex_orchestrator.scheduling import (
    GiveUp,
    Pool,
    Release,
    Reserve,
    Rules,
    Run,
    Scheduler,
)

from tests.orchestrator.happenings import (
    begun,
    failed,
    finished,
    one_platform,
    plan,
    ready,
    released,
    runs,
)


def lasting(*durations: float) -> list[Test]:
    return [
        msgspec.structs.replace(test, duration=duration)
        for test, duration in zip(plan(len(durations)), durations, strict=True)
    ]


def test_a_rerun_is_for_a_machine_that_did_not_have_the_test() -> None:
    scheduler = one_platform(4, 2, rules=Rules(reruns=1))
    assert begun(scheduler, None, None) == [(1, 1), (2, 2)]
    assert runs(scheduler.handle(finished(1, 1, status="fail"), 0.0)) == [(1, 3)]
    [again] = scheduler.handle(finished(2, 2), 0.0)
    assert isinstance(again, Run)
    assert (again.worker, again.test.serial, again.attempt) == (2, 1, 2)
    scheduler.handle(finished(2, 1, attempt=2, status="fail"), 0.0)
    assert scheduler.tries("p", 1).failures == 2


def test_the_only_machine_runs_it_again_in_its_place_in_the_order() -> None:
    scheduler = one_platform(2, 1, rules=Rules(reruns=2))
    assert begun(scheduler, None) == [(1, 1)]
    assert runs(scheduler.handle(finished(1, 1, status="warn"), 0.0)) == [(1, 1)]
    assert runs(scheduler.handle(finished(1, 1, attempt=2, status="error"), 0.0)) == [(1, 1)]
    assert runs(scheduler.handle(finished(1, 1, attempt=3, status="fail"), 0.0)) == [(1, 2)]


def test_as_many_idle_machines_stay_as_running_tests_may_come_back() -> None:
    scheduler = one_platform(3, 3, rules=Rules(reruns=1))
    begun(scheduler, None, None, None)
    assert scheduler.handle(finished(1, 1), 0.0) == []
    assert scheduler.handle(finished(2, 2), 0.0) == [Release(2)]
    assert runs(scheduler.handle(finished(3, 3, status="fail"), 0.0)) == [(1, 3)]
    assert not scheduler.handle(released(2), 0.0)
    assert Release(1) in scheduler.handle(finished(1, 3, attempt=2), 0.0)


def test_infra_is_retried_apart_from_reruns() -> None:
    scheduler = one_platform(1, 1, rules=Rules(reruns=1, infra_retries=1))
    begun(scheduler, None)
    for attempt, status in enumerate(("infra", "fail"), start=1):
        decisions = scheduler.handle(finished(1, 1, attempt=attempt, status=status), 0.0)
        assert runs(decisions) == [(1, 1)]
    assert scheduler.handle(finished(1, 1, attempt=3, status="infra"), 0.0) == [Release(1)]


@pytest.mark.parametrize(
    ("policy", "tag", "status", "destroyed"),
    [
        ("tag", "destructive", "pass", True),
        ("tag", "", "fail", False),
        ("exit", "", "fail", True),
        ("exit", "", "pass", False),
        ("never", "destructive", "fail", False),
    ],
)
def test_a_destroyed_machine_is_replaced(
    policy: str, tag: str, status: str, destroyed: bool
) -> None:
    tests = [msgspec.structs.replace(test, tag=(tag,)) for test in plan(2)]
    rules = msgspec.convert({"destructive": policy}, Rules)
    scheduler = Scheduler({"p": tests}, [Pool("p", 1)], rules=rules)
    begun(scheduler, None)
    decisions = scheduler.handle(finished(1, 1, status=status), 0.0)
    if not destroyed:
        assert runs(decisions) == [(1, 2)]
        return
    assert decisions == [Release(1)]
    assert scheduler.handle(released(1), 0.0) == [Reserve(2, 0)]


def test_a_test_that_was_not_even_started_destroys_nothing() -> None:
    tests = [msgspec.structs.replace(test, tag=("destructive",)) for test in plan(2)]
    scheduler = Scheduler({"p": tests}, [Pool("p", 1)])
    begun(scheduler, None)
    unstarted = msgspec.structs.replace(finished(1, 1, status="error"), unstarted=True)
    assert runs(scheduler.handle(unstarted, 0.0)) == [(1, 2)]


def test_a_spare_steps_in_when_a_machine_is_gone() -> None:
    scheduler = one_platform(9, 1, rules=Rules(spares=1))
    assert scheduler.start(0.0) == [Reserve(1, 0), Reserve(2, 0)]
    assert runs(scheduler.handle(ready(1), 0.0)) == [(1, 1)]
    assert scheduler.handle(ready(2), 0.0) == []
    assert runs(scheduler.handle(failed(1, "lost", during="test"), 0.0)) == [(2, 2)]
    scheduler.handle(finished(1, 1, status="infra"), 0.0)
    assert scheduler.handle(released(1), 0.0) == [Reserve(3, 0)]
    assert scheduler.handle(ready(3), 0.0) == []


def test_what_does_not_fit_the_lease_goes_to_a_fresh_machine() -> None:
    scheduler = Scheduler({"p": lasting(50.0, 500.0, 60.0)}, [Pool("p", 1)])
    assert begun(scheduler, 200.0) == [(1, 1)]
    assert runs(scheduler.handle(finished(1, 1), 50.0)) == [(1, 3)]
    assert scheduler.handle(finished(1, 3), 110.0) == [Release(1)]
    assert scheduler.handle(released(1), 120.0) == [Reserve(2, 0)]
    # None has a longer lease: it is started where there is the most of it.
    assert runs(scheduler.handle(ready(2, lease_end=320.0), 120.0)) == [(2, 2)]


def test_a_spare_works_where_it_is_ready_before_a_machine_of_its_pool() -> None:
    scheduler = one_platform(9, 1, rules=Rules(spares=1))
    scheduler.start(0.0)
    assert runs(scheduler.handle(ready(2), 0.0)) == [(2, 1)]
    assert scheduler.handle(ready(1), 0.0) == []
    assert runs(scheduler.handle(failed(2, "lost", during="test"), 0.0)) == [(1, 2)]


def test_a_spare_whose_lease_ended_while_it_stood_by_takes_no_test() -> None:
    scheduler = Scheduler({"p": lasting(*[100.0] * 5)}, [Pool("p", 1)], rules=Rules(spares=1))
    assert begun(scheduler, 1000.0, 200.0) == [(1, 1)]
    assert scheduler.handle(failed(1, "lost", during="test"), 500.0) == [Release(2)]
    scheduler.handle(finished(1, 1, status="infra"), 500.0)
    assert Reserve(3, 0) in scheduler.handle(released(2), 500.0)


def test_an_idle_machine_takes_what_it_left_to_one_that_is_gone() -> None:
    tests = plan(3)
    tests[2] = msgspec.structs.replace(tests[2], tag=("destructive",))
    scheduler = Scheduler({"p": tests}, [Pool("p", 3)], rules=Rules(reruns=1))
    assert begun(scheduler, None, None, None) == [(1, 1), (2, 2), (3, 3)]
    assert scheduler.handle(finished(1, 1), 0.0) == []
    decisions = scheduler.handle(finished(2, 2, status="fail"), 0.0)
    assert runs(decisions) == [(1, 2)]
    # Both that are left had it: it is run where it may be at once.
    assert scheduler.handle(failed(1, "lost", during="test"), 0.0) == []
    scheduler.handle(finished(1, 2, attempt=2, status="infra"), 0.0)
    assert runs(scheduler.handle(finished(3, 3), 0.0)) == [(2, 2)]


def test_fail_fast_skips_what_was_not_started() -> None:
    scheduler = one_platform(6, 2, rules=Rules(fail_fast=2, reruns=1, infra_retries=5))
    begun(scheduler, None, None)
    assert runs(scheduler.handle(finished(1, 1, status="fail"), 0.0)) == [(1, 3)]
    assert runs(scheduler.handle(finished(2, 2, status="fail"), 0.0)) == [(2, 1)]
    scheduler.handle(finished(2, 1, attempt=2, status="fail"), 0.0)
    assert runs(scheduler.handle(finished(1, 3), 0.0)) == [(1, 2)]
    decisions = scheduler.handle(finished(1, 2, attempt=2, status="fail"), 0.0)
    [skipped] = [decision for decision in decisions if isinstance(decision, GiveUp)]
    assert skipped.status == "skip"
    assert skipped.reason == "2 tests failed: nothing more is started (fail-fast)"
    assert Release(1) in decisions
    assert scheduler.handle(finished(2, 4, status="infra"), 0.0) == [Release(2)]


def test_rank_orders_also_what_is_added_later() -> None:
    scheduler = Scheduler(
        {"p": lasting(10.0, 30.0)}, [Pool("p", 1)], rank=lambda _platform, test: -test.duration
    )
    assert begun(scheduler, None) == [(1, 2)]
    later = msgspec.structs.replace(lasting(20.0)[0], serial=7)
    assert scheduler.add("p", later, 0.0) == []
    assert runs(scheduler.handle(finished(1, 2), 0.0)) == [(1, 7)]
    assert runs(scheduler.handle(finished(1, 7), 0.0)) == [(1, 1)]


def test_tests_of_no_platform_run_once_on_any() -> None:
    anywhere = [msgspec.structs.replace(test, serial=test.serial + 10) for test in plan(2)]
    scheduler = Scheduler({"p": [], "q": []}, [Pool("p", 2), Pool("q", 2)], anywhere=anywhere)
    assert scheduler.start(0.0) == [Reserve(1, 0), Reserve(2, 0)]
    assert runs(scheduler.handle(ready(1), 0.0)) == [(1, 11)]
    scheduler.handle(failed(2, "no"), 0.0)
    decisions = scheduler.handle(failed(1, "lost", during="test"), 0.0)
    decisions += scheduler.handle(finished(1, 11, status="infra"), 0.0)
    assert Release(1) in decisions
    assert scheduler.tries(ANY, 11).infra == 1


def test_one_that_is_dismissed_is_replaced_and_a_test_that_is_abandoned_not_tried_again() -> None:
    scheduler = one_platform(2, 1, rules=Rules(reruns=3))
    begun(scheduler, None)
    scheduler.abandon("p", 1, "enough of it", 0.0)
    assert scheduler.dismiss(1, 0.0) == []
    assert scheduler.handle(finished(1, 1, status="infra"), 0.0) == [Release(1)]
    [give_up] = scheduler.abandon("p", 2, "of that, too", 0.0)
    assert isinstance(give_up, GiveUp)
    assert give_up.reason == "of that, too"
    assert scheduler.handle(released(1), 0.0) == []
    assert scheduler.done


def test_a_run_goes_on_where_another_process_was_killed() -> None:
    scheduler = Scheduler({"p": plan(4)}, [Pool("p", 2)], rules=Rules(reruns=1), workers=5)
    scheduler.restore("p", 1, [finished(1, 1)], attempts=1)
    scheduler.restore("p", 2, [finished(2, 2, status="fail")], attempts=1)
    scheduler.restore("p", 3, [], attempts=1)
    scheduler.adopt(4, 0, (plan(4)[2], 2))
    assert scheduler.start(0.0) == [Reserve(6, 0)]
    [run] = scheduler.handle(ready(6), 0.0)
    assert isinstance(run, Run)
    assert (run.test.serial, run.attempt) == (2, 2)
    assert scheduler.handle(ready(4), 0.0) == []
    assert runs(scheduler.handle(finished(4, 3, attempt=2), 0.0)) == [(4, 4)]
