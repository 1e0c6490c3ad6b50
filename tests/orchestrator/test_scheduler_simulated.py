"""The scheduler against a simulated pool, in any order of events."""

from collections import Counter

from atex_orchestrator.scheduling import GiveUp, Pool, Release, Reserve, Rules
from atex_orchestrator.scheduling.scheduler import Scheduler
from atex_orchestrator.scheduling.staff import REPLACEMENTS
from hypothesis import given
from hypothesis import strategies as st

from tests.orchestrator.happenings import (
    failed,
    finished,
    one_platform,
    plan,
    ready,
    released,
    runs,
)
from tests.orchestrator.simulation import Simulation


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, REPLACEMENTS), st.data())
def test_nothing_is_given_up_while_a_machine_can_be_replaced(
    tests: int, size: int, failures: int, choose: st.DataObject
) -> None:
    """So many machines fail before their first test, and all others work: every test is run."""
    scheduler = one_platform(tests, size)
    coming: list[int] = []
    waiting = set(range(1, tests + 1))
    decisions = scheduler.start(0.0)
    while decisions or coming:
        assert not [decision for decision in decisions if isinstance(decision, GiveUp)]
        coming += [decision.worker for decision in decisions if isinstance(decision, Reserve)]
        worker = coming.pop(choose.draw(st.integers(0, len(coming) - 1)))
        if failures and choose.draw(st.booleans()):
            failures -= 1
            decisions = scheduler.handle(failed(worker, "no", during="prepare"), 0.0)
            decisions += scheduler.handle(released(worker), 0.0)
            continue
        decisions = scheduler.handle(ready(worker), 0.0)
        while ran := runs(decisions):
            [(_worker, serial)] = ran
            waiting.remove(serial)
            coming = [w for w in coming if Release(w) not in decisions]
            decisions = scheduler.handle(finished(worker, serial), 0.0)
        decisions = scheduler.handle(released(worker), 0.0)
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
    scheduler = Scheduler({"p": plan(tests)}, pools, rules=Rules(hold_failed=hold_failed))
    simulation = Simulation(scheduler, sizes, tests)
    simulation.carry_out(simulation.scheduler.start(0.0))
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
    assert not simulation.leaving | simulation.keeping
    if hold_failed and not simulation.stopped:
        failed = simulation.last_failed - simulation.expired
        assert simulation.kept or simulation.not_keepable or not failed
    else:
        assert hold_failed or not simulation.kept
