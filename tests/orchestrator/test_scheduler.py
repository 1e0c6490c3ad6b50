"""The scheduler, event by event."""

import msgspec
from atex_orchestrator.scheduling import GiveUp, Pool, Release, Reserve, Rules, Run
from atex_orchestrator.scheduling.scheduler import Scheduler
from atex_orchestrator.scheduling.staff import REASONS, REPLACEMENTS

from tests.orchestrator.happenings import (
    expired,
    failed,
    finished,
    one_platform,
    plan,
    ready,
    released,
    runs,
)


def test_a_free_machine_takes_the_next_test() -> None:
    scheduler = one_platform(3, 2)
    assert scheduler.start(0.0) == [Reserve(1, 0), Reserve(2, 0)]
    assert runs(scheduler.handle(ready(2), 0.0)) == [(2, 1)]
    assert runs(scheduler.handle(ready(1), 0.0)) == [(1, 2)]
    assert runs(scheduler.handle(finished(2, 1), 0.0)) == [(2, 3)]
    assert scheduler.handle(finished(1, 2), 0.0) == [Release(1)]


def test_asks_for_no_more_machines_than_tests() -> None:
    assert one_platform(2, 5).start(0.0) == [Reserve(1, 0), Reserve(2, 0)]
    assert one_platform(0, 5).start(0.0) == []
    assert one_platform(0, 5).done


def test_pools_of_a_platform_are_used_in_turn() -> None:
    assert one_platform(3, 1, 2).start(0.0) == [Reserve(1, 0), Reserve(2, 1), Reserve(3, 1)]


def test_a_machine_that_fails_makes_room_for_one_not_asked_for_yet() -> None:
    scheduler = one_platform(1, 2)
    assert scheduler.start(0.0) == [Reserve(1, 0)]
    assert scheduler.handle(failed(1, "refused"), 0.0) == [Reserve(2, 0)]
    assert runs(scheduler.handle(ready(2), 0.0)) == [(2, 1)]


def test_machines_still_coming_are_let_go_with_the_last_test() -> None:
    scheduler = one_platform(2, 2)
    scheduler.start(0.0)
    scheduler.handle(ready(1), 0.0)
    decisions = scheduler.handle(finished(1, 1), 0.0)
    assert runs(decisions) == [(1, 2)]
    assert decisions[1:] == [Release(2)]
    assert scheduler.handle(ready(2), 0.0) == []  # it was too late to stop


def test_without_a_machine_the_rest_is_given_up_with_all_reasons() -> None:
    scheduler = one_platform(3, 2)
    scheduler.start(0.0)
    scheduler.handle(failed(1, "a: refused"), 0.0)
    [give_up] = scheduler.handle(failed(2, "b: timed out"), 0.0)
    assert isinstance(give_up, GiveUp)
    assert [test.serial for test in give_up.tests] == [1, 2, 3]
    assert give_up.reason == "no machine of platform p is left:\nb: timed out\na: refused"
    assert not scheduler.done
    scheduler.handle(released(1), 0.0)
    scheduler.handle(released(2), 0.0)
    assert scheduler.done


def test_the_reasons_of_a_great_many_machines_are_counted() -> None:
    scheduler = one_platform(99, 99)
    scheduler.start(0.0)
    decisions = [
        scheduler.handle(failed(worker, f"m{worker}: refused"), 0.0) for worker in range(1, 100)
    ]
    [give_up] = decisions[-1]
    assert isinstance(give_up, GiveUp)
    assert give_up.reason.count("refused") == REASONS
    assert give_up.reason.endswith("and others before (events.jsonl has all)")
    assert give_up.reason.splitlines()[1] == "m99: refused"


def test_a_machine_that_can_not_be_prepared_is_replaced_when_it_is_given_back() -> None:
    scheduler = one_platform(2, 2)
    assert scheduler.start(0.0) == [Reserve(1, 0), Reserve(2, 0)]
    assert scheduler.handle(failed(1, "a: exit code 1", during="prepare"), 0.0) == []
    assert scheduler.handle(failed(2, "b: no python", during="start"), 0.0) == []
    assert scheduler.handle(released(2), 0.0) == [Reserve(3, 0)]
    assert scheduler.handle(released(1), 0.0) == [Reserve(4, 0)]
    assert runs(scheduler.handle(ready(3), 0.0)) == [(3, 1)]


def test_machines_that_nobody_asked_for_yet_go_before_a_replacement() -> None:
    scheduler = one_platform(1, 1, 1)
    assert scheduler.start(0.0) == [Reserve(1, 0)]
    assert scheduler.handle(failed(1, "a: exit code 1", during="prepare"), 0.0) == [Reserve(2, 1)]
    assert scheduler.handle(released(1), 0.0) == []  # one is coming, and one is enough
    assert scheduler.handle(failed(2, "b: exit code 1", during="prepare"), 0.0) == [Reserve(3, 0)]


def test_a_reservation_that_may_succeed_the_next_time_is_repeated_ten_times() -> None:
    """A container that is killed while it comes up, say."""
    scheduler = one_platform(1, 1)
    scheduler.start(0.0)
    for worker in range(1, REPLACEMENTS + 1):
        assert scheduler.handle(failed(worker, "killed", permanent=False), 0.0) == []
        assert scheduler.handle(released(worker), 0.0) == [Reserve(worker + 1, 0)]
    last = failed(REPLACEMENTS + 1, "killed", permanent=False)
    [give_up] = scheduler.handle(last, 0.0)
    assert isinstance(give_up, GiveUp)


def test_only_so_many_machines_are_replaced() -> None:
    scheduler = one_platform(1, 1)
    scheduler.start(0.0)
    for worker in range(1, REPLACEMENTS + 1):
        assert scheduler.handle(failed(worker, f"m{worker}: no", during="prepare"), 0.0) == []
        assert scheduler.handle(released(worker), 0.0) == [Reserve(worker + 1, 0)]
    [give_up] = scheduler.handle(failed(REPLACEMENTS + 1, "the last", during="prepare"), 0.0)
    assert isinstance(give_up, GiveUp)
    assert "is left:\nthe last\n" in give_up.reason
    assert scheduler.handle(released(REPLACEMENTS + 1), 0.0) == []
    assert scheduler.done


def test_where_there_is_no_other_machine_the_rest_is_given_up() -> None:
    scheduler = one_platform(1, 1)
    scheduler.start(0.0)
    scheduler.handle(failed(1, "a: exit code 1", during="prepare"), 0.0)
    assert scheduler.handle(released(1), 0.0) == [Reserve(2, 0)]
    [give_up] = scheduler.handle(released(2), 0.0)  # it was offered the same one, and left
    assert isinstance(give_up, GiveUp)
    assert give_up.reason == "no machine of platform p is left:\na: exit code 1"
    assert scheduler.done


def test_the_last_lines_of_a_phase_are_in_the_note() -> None:
    scheduler = one_platform(1, 1)
    scheduler.start(0.0)
    failure = failed(1, "a: prepare phase 'x' failed: exit code 1", during="prepare")
    output = msgspec.structs.replace(failure, output="p/@prepare.a/x.txt", tail=("one", "two"))
    scheduler.handle(output, 0.0)
    scheduler.handle(released(1), 0.0)
    [give_up] = scheduler.handle(released(2), 0.0)
    assert isinstance(give_up, GiveUp)
    assert give_up.reason.splitlines() == [
        "no machine of platform p is left:",
        "a: prepare phase 'x' failed: exit code 1; its output is in files/p/@prepare.a/x.txt",
        "    one",
        "    two",
    ]


def test_a_machine_lost_in_a_test_is_replaced_and_the_test_tried_again() -> None:
    scheduler = one_platform(2, 1)
    scheduler.start(0.0)
    scheduler.handle(ready(1), 0.0)
    assert scheduler.handle(failed(1, "m1: lost", during="test"), 0.0) == []
    assert scheduler.handle(finished(1, 1, status="infra"), 0.0) == [Release(1)]
    assert scheduler.handle(released(1), 0.0) == [Reserve(2, 0)]
    assert runs(scheduler.handle(ready(2), 0.0)) == [(2, 1)]


def test_a_platform_in_trouble_leaves_the_others_alone() -> None:
    scheduler = Scheduler({"p": plan(1), "q": plan(1)}, [Pool("p", 1), Pool("q", 1)])
    assert scheduler.start(0.0) == [Reserve(1, 0), Reserve(2, 1)]
    [give_up] = scheduler.handle(failed(1, "refused"), 0.0)
    assert isinstance(give_up, GiveUp)
    assert give_up.platform == "p"
    assert runs(scheduler.handle(ready(2, "q"), 0.0)) == [(2, 1)]


def test_a_platform_without_a_pool_is_given_up() -> None:
    [give_up] = Scheduler({"p": plan(1)}, []).start(0.0)
    assert isinstance(give_up, GiveUp)
    assert give_up.reason == "platform p has no machine"


def test_stop_gives_up_what_waits_and_starts_nothing_more() -> None:
    scheduler = one_platform(5, 3)
    scheduler.start(0.0)
    scheduler.handle(ready(1), 0.0)
    [give_up] = scheduler.stop("interrupted")
    assert isinstance(give_up, GiveUp)
    assert [test.serial for test in give_up.tests] == [2, 3, 4, 5]
    assert scheduler.handle(finished(1, 1), 0.0) == [Release(1)]
    assert scheduler.handle(failed(2, "aborted"), 0.0) == []
    assert scheduler.handle(ready(3), 0.0) == [Release(3)]
    assert scheduler.stop("again") == []


def test_a_test_that_kills_the_agent_is_run_once_more_whatever_is_set() -> None:
    scheduler = one_platform(2, 1, rules=Rules(infra_retries=0))
    scheduler.start(0.0)
    scheduler.handle(ready(1), 0.0)
    [again] = scheduler.handle(finished(1, 1, agent_died=True), 0.0)
    assert isinstance(again, Run)
    assert (again.worker, again.test.serial, again.attempt) == (1, 1, 2)
    assert runs(scheduler.handle(finished(1, 1, attempt=2, agent_died=True), 0.0)) == [(1, 2)]
    scheduler.stop("interrupted")
    assert scheduler.handle(finished(1, 2, agent_died=True), 0.0) == [Release(1)]


def test_a_machine_whose_lease_has_ended_is_replaced_when_it_is_given_back() -> None:
    scheduler = one_platform(3, 1)
    scheduler.start(0.0)
    scheduler.handle(ready(1), 0.0)
    assert scheduler.handle(expired(1), 0.0) == []
    assert scheduler.handle(finished(1, 1), 0.0) == [Release(1)]
    assert scheduler.handle(released(1), 0.0) == [Reserve(2, 0)]
    assert runs(scheduler.handle(ready(2), 0.0)) == [(2, 2)]
    assert runs(scheduler.handle(finished(2, 2), 0.0)) == [(2, 3)]
    scheduler.handle(expired(2), 0.0)
    assert scheduler.handle(finished(2, 3), 0.0) == [Release(2)]
    assert scheduler.handle(released(2), 0.0) == []
    assert scheduler.done
