"""What the scheduler does by hooks, and how few machines it asks for that take nothing."""

import math

from atex_orchestrator.scheduling import (
    GiveUp,
    Hooks,
    Pool,
    Release,
    Reserve,
    Scheduler,
)

from tests.orchestrator.happenings import begun, finished, plan, ready, released, runs


def test_hooks_choose() -> None:
    hooks = Hooks(
        applicable=lambda worker, test: test.serial != worker,
        fitness=lambda _worker, test: -math.inf if test.serial == 4 else test.serial,
    )
    scheduler = Scheduler({"p": plan(4)}, [Pool("p", 1), Pool("p", 1)], hooks=hooks)
    assert begun(scheduler, None, None) == [(1, 3), (2, 1)]
    assert runs(scheduler.handle(finished(1, 3), 0.0)) == [(1, 2)]


def test_a_machine_that_is_let_go_by_next_test_is_not_replaced() -> None:
    hooks = Hooks(next_test=lambda worker, tests: None if worker == 1 else tests[-1])
    scheduler = Scheduler({"p": plan(9)}, [Pool("p", 2)], hooks=hooks)
    scheduler.start(0.0)
    assert scheduler.handle(ready(1), 0.0) == [Release(1)]
    assert scheduler.handle(released(1), 0.0) == []
    assert runs(scheduler.handle(ready(2), 0.0)) == [(2, 9)]


def test_what_no_machine_takes_is_given_up() -> None:
    hooks = Hooks(applicable=lambda _worker, test: test.serial == 1)
    scheduler = Scheduler({"p": plan(3)}, [Pool("p", 1)], hooks=hooks)
    assert begun(scheduler, None) == [(1, 1)]
    assert scheduler.handle(finished(1, 1), 0.0) == [Release(1)]
    assert scheduler.handle(released(1), 0.0) == [Reserve(2, 0)]
    assert scheduler.handle(ready(2), 0.0) == [Release(2)]
    [give_up] = scheduler.handle(released(2), 0.0)
    assert isinstance(give_up, GiveUp)
    assert [test.serial for test in give_up.tests] == [2, 3]
    assert "takes it" in give_up.reason


def test_a_test_that_comes_back_brings_no_machine_of_a_pool_that_refused_all() -> None:
    hooks = Hooks(applicable=lambda worker, _test: worker == 1)
    scheduler = Scheduler({"p": plan(9)}, [Pool("p", 1), Pool("p", 1)], hooks=hooks)
    assert begun(scheduler, None, None) == [(1, 1)]
    asked = scheduler.handle(released(2), 0.0)
    for serial in range(1, 10):
        for attempt in (1, 2, 3):
            asked += scheduler.handle(finished(1, serial, attempt=attempt, status="infra"), 0.0)
    assert not [decision for decision in asked if isinstance(decision, Reserve)]


def test_a_new_test_brings_one_machine_of_a_pool_that_refused_all() -> None:
    hooks = Hooks(applicable=lambda worker, test: worker == 1 or test.serial > 9)
    scheduler = Scheduler({"p": plan(9)}, [Pool("p", 1), Pool("p", 3)], hooks=hooks)
    assert begun(scheduler, None, None, None, None) == [(1, 1)]
    for worker in (2, 3, 4):
        assert scheduler.handle(released(worker), 0.0) == []
    assert scheduler.add("p", plan(10)[-1], 0.0) == [Reserve(5, 1)]
    assert runs(scheduler.handle(ready(5), 0.0)) == [(5, 10)]
    assert Release(5) in scheduler.handle(finished(5, 10), 0.0)
    assert scheduler.handle(released(5), 0.0) == []


def test_a_pool_that_takes_what_it_refused_is_asked_again() -> None:
    """Its machines are not all alike."""
    hooks = Hooks(applicable=lambda worker, _test: worker != 1)
    scheduler = Scheduler({"p": plan(3)}, [Pool("p", 2)], hooks=hooks)
    assert scheduler.start(0.0) == [Reserve(1, 0), Reserve(2, 0)]
    assert scheduler.handle(ready(1), 0.0) == [Release(1)]
    assert scheduler.handle(released(1), 0.0) == []
    decisions = scheduler.handle(ready(2), 0.0)
    assert runs(decisions) == [(2, 1)]
    assert Reserve(3, 0) in decisions
