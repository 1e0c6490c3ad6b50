"""Which machine is kept, because a test failed there."""

import msgspec
from atex_orchestrator.scheduling import GiveUp, Keep, Pool, Release, Reserve, Rules
from atex_orchestrator.scheduling.scheduler import Scheduler

from tests.orchestrator.happenings import (
    expired,
    failed,
    finished,
    not_kept,
    one_platform,
    plan,
    ready,
    released,
    runs,
)


def holding(tests: int, size: int, *platforms: str) -> Scheduler:
    """Return a scheduler that keeps machines of failed tests, and all of whose machines are ready."""
    names = platforms or ("p",)
    scheduler = Scheduler(
        {name: plan(tests) for name in names},
        [Pool(n, size) for n in names],
        rules=Rules(hold_failed=True),
    )
    for decision in scheduler.start(0.0):
        assert isinstance(decision, Reserve)
        scheduler.handle(ready(decision.worker, names[decision.pool]), 0.0)
    return scheduler


def test_the_machine_of_a_failed_test_is_kept_and_takes_no_other() -> None:
    scheduler = holding(3, 2)
    assert scheduler.handle(finished(1, 1, status="fail"), 0.0) == [Keep(1)]
    assert runs(scheduler.handle(finished(2, 2), 0.0)) == [(2, 3)]
    scheduler.handle(released(1), 0.0)
    assert scheduler.handle(finished(2, 3), 0.0) == [Release(2)]
    scheduler.handle(released(2), 0.0)
    assert scheduler.done


def test_without_being_asked_no_machine_is_kept() -> None:
    scheduler = one_platform(1, 1)
    scheduler.start(0.0)
    scheduler.handle(ready(1), 0.0)
    assert scheduler.handle(finished(1, 1, status="fail"), 0.0) == [Release(1)]


def test_only_machines_of_failed_tests_are_kept() -> None:
    for status in ("pass", "info", "skip", "warn"):
        assert holding(1, 1).handle(finished(1, 1, status=status), 0.0) == [Release(1)]
    assert holding(1, 1).handle(finished(1, 1, status="error"), 0.0) == [Keep(1)]


def test_one_machine_of_each_platform_is_kept() -> None:
    scheduler = holding(2, 2, "p", "q")
    assert scheduler.handle(finished(1, 1, "p", status="fail"), 0.0) == [Keep(1)]
    assert scheduler.handle(finished(2, 2, "p", status="fail"), 0.0) == [Release(2)]
    assert scheduler.handle(finished(3, 1, "q", status="error"), 0.0) == [Keep(3)]


def test_the_last_machine_goes_on_while_tests_wait() -> None:
    scheduler = holding(3, 1)
    assert runs(scheduler.handle(finished(1, 1, status="fail"), 0.0)) == [(1, 2)]
    assert runs(scheduler.handle(finished(1, 2), 0.0)) == [(1, 3)]
    assert scheduler.handle(finished(1, 3, status="fail"), 0.0) == [Keep(1)]


def test_a_machine_that_is_coming_takes_nothing_yet() -> None:
    """It may never come."""
    scheduler = Scheduler(
        {"p": plan(3)}, [Pool("p", 1), Pool("p", 1)], rules=Rules(hold_failed=True)
    )
    scheduler.start(0.0)
    scheduler.handle(ready(1), 0.0)
    assert runs(scheduler.handle(finished(1, 1, status="fail"), 0.0)) == [(1, 2)]
    scheduler.handle(failed(2, "exit code 1", during="prepare"), 0.0)
    scheduler.handle(released(2), 0.0)
    assert runs(scheduler.handle(finished(1, 2), 0.0)) == [(1, 3)]
    assert scheduler.handle(finished(1, 3, status="fail"), 0.0) == [Keep(1)]


def test_a_machine_that_a_test_took_out_of_use_is_kept_also_where_it_is_the_last() -> None:
    scheduler = holding(2, 1)
    scheduler.handle(failed(1, "it burns", during="test"), 0.0)
    assert scheduler.handle(finished(1, 1, status="error"), 0.0) == [Keep(1)]
    [give_up] = scheduler.handle(released(1), 0.0)
    assert isinstance(give_up, GiveUp)


def test_no_machine_is_kept_when_the_run_is_stopped() -> None:
    scheduler = holding(1, 1)
    scheduler.stop("enough")
    assert scheduler.handle(finished(1, 1, status="fail"), 0.0) == [Release(1)]


def test_one_whose_lease_has_ended_can_not_be_kept() -> None:
    scheduler = holding(1, 1)
    scheduler.handle(expired(1), 0.0)
    assert scheduler.handle(finished(1, 1, status="fail"), 0.0) == [Release(1)]


def test_one_that_can_not_be_kept_goes_on_and_its_pool_is_not_tried_again() -> None:
    scheduler = Scheduler(
        {"p": plan(5)}, [Pool("p", 2), Pool("p", 1)], rules=Rules(hold_failed=True)
    )
    scheduler.start(0.0)
    for worker in (1, 2, 3):
        scheduler.handle(ready(worker), 0.0)
    assert scheduler.handle(finished(1, 1, status="fail"), 0.0) == [Keep(1)]
    assert runs(scheduler.handle(not_kept(1), 0.0)) == [(1, 4)]
    assert runs(scheduler.handle(finished(2, 2, status="fail"), 0.0)) == [(2, 5)]
    assert scheduler.handle(finished(3, 3, status="fail"), 0.0) == [Keep(3)]
    assert scheduler.handle(finished(1, 4, status="fail"), 0.0) == [Release(1)]


def test_nothing_is_given_up_until_it_is_known_that_one_is_kept() -> None:
    scheduler = holding(3, 2)
    assert scheduler.handle(finished(1, 1, status="fail"), 0.0) == [Keep(1)]
    assert scheduler.handle(failed(2, "lost", during="test"), 0.0) == []
    assert runs(scheduler.handle(not_kept(1), 0.0)) == [(1, 3)]


def test_one_out_of_use_that_can_not_be_kept_is_released() -> None:
    scheduler = holding(1, 1)
    scheduler.handle(failed(1, "it burns", during="test"), 0.0)
    assert scheduler.handle(finished(1, 1, status="error"), 0.0) == [Keep(1)]
    assert scheduler.handle(not_kept(1), 0.0) == [Release(1)]


def test_a_machine_that_its_test_destroyed_takes_no_other_where_it_can_not_be_kept() -> None:
    tests = plan(3)
    tests[0] = msgspec.structs.replace(tests[0], tag=("destructive",))
    scheduler = Scheduler({"p": tests}, [Pool("p", 2)], rules=Rules(hold_failed=True))
    scheduler.start(0.0)
    scheduler.handle(ready(1), 0.0)
    scheduler.handle(ready(2), 0.0)
    assert scheduler.handle(finished(1, 1, status="fail"), 0.0) == [Keep(1)]
    assert scheduler.handle(not_kept(1), 0.0) == [Release(1)]
    assert scheduler.handle(released(1), 0.0) == [Reserve(3, 0)]


def test_one_that_is_dismissed_before_it_is_known_that_it_can_not_be_kept_takes_no_test() -> None:
    scheduler = holding(3, 2)
    assert scheduler.handle(finished(1, 1, status="fail"), 0.0) == [Keep(1)]
    assert scheduler.dismiss(1, 0.0) == []
    assert scheduler.handle(not_kept(1), 0.0) == [Release(1)]


def test_the_last_machine_goes_on_while_tests_of_no_platform_wait() -> None:
    scheduler = Scheduler(
        {"p": [], "q": []},
        [Pool("p", 1), Pool("q", 1)],
        rules=Rules(hold_failed=True),
        anywhere=plan(4),
    )
    scheduler.start(0.0)
    scheduler.handle(ready(1, "p"), 0.0)
    scheduler.handle(ready(2, "q"), 0.0)
    assert scheduler.handle(finished(1, 1, "p", status="fail"), 0.0) == [Keep(1)]
    assert runs(scheduler.handle(finished(2, 2, "q", status="fail"), 0.0)) == [(2, 3)]
    assert runs(scheduler.handle(finished(2, 3, "q", status="fail"), 0.0)) == [(2, 4)]
    assert scheduler.handle(finished(2, 4, "q", status="fail"), 0.0) == [Keep(2)]
