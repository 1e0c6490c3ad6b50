"""One machine, or one test, is taken out of a run that goes on."""

import threading
from pathlib import Path

import pytest
from atex_fmf import Phase, Plan, Suite, Test
from atex_orchestrator import Orchestrator
from atex_orchestrator.events import (
    Event,
    MachineFailed,
    MachineReleased,
    MachineRequested,
    MachineReserved,
    TestFinished,
    TestStarted,
)
from atex_orchestrator.results import read_finals
from atex_orchestrator.worker import Worker
from atex_provision import Lease, Provisioner, ProvisionError

from tests.orchestrator.provisioners import Fresh
from tests.waits import PATIENCE

NO_PLAN = Plan()


def pool_of(
    tmp_path: Path,
    *scripts: str,
    plan: Plan = NO_PLAN,
    provisioner: type[Provisioner] = Fresh,
    machines: int = 1,
    hold_failed: bool = False,
) -> tuple[Orchestrator, list[Event]]:
    """Return an orchestrator for tests /t1, /t2 and so on, and its events to come."""
    tree = tmp_path / "tree"
    tree.mkdir(exist_ok=True)
    tests = tuple(Test(name=f"/t{n}", test=text) for n, text in enumerate(scripts, start=1))
    orchestrator = Orchestrator(tmp_path / "run", hold_failed=hold_failed)
    orchestrator.add_platform("p", Suite(root=str(tree), tests=tests, plan=plan))
    orchestrator.add_provisioner(provisioner, platform="p", max_workers=machines)
    events: list[Event] = []
    orchestrator.subscribe(events.append)
    return orchestrator, events


def finals(tmp_path: Path) -> list[tuple[str, int, str]]:
    return [(final.test, final.attempt, final.status) for final in read_finals(tmp_path / "run")]


def test_a_machine_is_finished_and_replaced_and_its_test_runs_elsewhere(tmp_path: Path) -> None:
    def listen(event: Event) -> None:
        if isinstance(event, TestStarted) and event.attempt == 1 and event.serial == 1:
            orchestrator.abort_machine(event.machine, "it is to be repaired")
            orchestrator.abort_machine(event.machine, "it still is")
            orchestrator.abort_machine("another", "there is none")

    once = "case $TMT_TEST_ITERATION_ID in *.1) sleep 60;; esac"
    bye = Phase(name="bye", how="shell", script=(f"echo >> {tmp_path}/finished",))
    orchestrator, events = pool_of(tmp_path, once, "true", plan=Plan(finish=(bye,)))
    orchestrator.subscribe(listen)
    summary = orchestrator.run()
    assert summary.counts == {"pass": 2}
    assert summary.stopped is None
    [first, second] = [event.machine for event in events if isinstance(event, MachineReserved)]
    assert sorted(finals(tmp_path)) == [("/t1", 1, "infra"), ("/t1", 2, "pass"), ("/t2", 1, "pass")]
    [cancelled] = [final for final in read_finals(tmp_path / "run") if final.status == "infra"]
    assert cancelled.machine in (first, None)  # whether it had begun there or not
    assert cancelled.note == "it is to be repaired"
    by = {event.machine for event in events if isinstance(event, TestFinished) if event.serial == 2}
    assert by == {second}
    assert len((tmp_path / "finished").read_text()) == 2
    [failed] = [event for event in events if isinstance(event, MachineFailed)]
    assert (failed.machine, failed.reason) == (first, "it is to be repaired")
    assert [trouble.machine for trouble in summary.troubles] == [first]


def test_a_machine_that_is_prepared_is_replaced(tmp_path: Path) -> None:
    """It takes no test, whatever has become of its phase."""

    def listen(event: Event) -> None:
        if isinstance(event, MachineReserved):
            machines.append(event.machine)
            if len(machines) == 1:
                orchestrator.abort_machine(event.machine, "not this one")

    machines: list[str] = []
    wait = Phase(name="wait", how="shell", script=(f"mkdir {tmp_path}/first || exit 0; sleep 60",))
    (tmp_path / "first").mkdir()
    orchestrator, events = pool_of(tmp_path, "true", plan=Plan(prepare=(wait,)))
    orchestrator.subscribe(listen)
    assert orchestrator.run().counts == {"pass": 1}
    [first, second] = machines
    assert [event.machine for event in events if isinstance(event, TestStarted)] == [second]
    assert first != second
    assert sum(isinstance(event, MachineReleased) for event in events) == 2


def test_a_machine_that_is_about_to_be_kept_takes_no_other_test(tmp_path: Path) -> None:
    """Also where it can not be kept."""

    class Unkept(Fresh):
        def keep(self, until: float | None = None, *, prepared: bool = False) -> Lease:
            finished = next(event for event in events if isinstance(event, TestFinished))
            orchestrator.abort_machine(finished.machine, "it is to be repaired")
            assert aborted.wait(PATIENCE)
            raise ProvisionError("the service is down")

    def listen(event: Event) -> None:
        if isinstance(event, MachineFailed):
            aborted.set()
        if isinstance(event, MachineRequested) and event.worker > 2:
            (tmp_path / "replaced").touch()
        if isinstance(event, TestStarted) and event.serial == 2:
            (tmp_path / "both").touch()

    aborted = threading.Event()
    both, replaced = (
        f"until [ -e {tmp_path}/{name} ]; do sleep 0.05; done" for name in ("both", "replaced")
    )
    orchestrator, events = pool_of(
        tmp_path,
        f"{both}; exit 1",
        replaced,
        "true",
        provisioner=Unkept,
        machines=2,
        hold_failed=True,
    )
    orchestrator.subscribe(listen)
    summary = orchestrator.run()
    assert (summary.stopped, summary.counts, summary.kept) == (None, {"fail": 1, "pass": 2}, ())
    assert sorted(finals(tmp_path)) == [("/t1", 1, "fail"), ("/t2", 1, "pass"), ("/t3", 1, "pass")]
    by = [event.machine for event in events if isinstance(event, TestFinished)]
    assert by.count(by[0]) == 1


def test_a_test_that_runs_ends_and_its_machine_goes_on(tmp_path: Path) -> None:
    def listen(event: Event) -> None:
        if isinstance(event, TestStarted) and event.serial == 1:
            orchestrator.abort_test("p", 1, "it hangs")
            orchestrator.abort_test("p", 99, "there is none")

    orchestrator, events = pool_of(tmp_path, "sleep 60", "true")
    orchestrator.subscribe(listen)
    summary = orchestrator.run()
    assert finals(tmp_path) == [("/t1", 1, "infra"), ("/t2", 1, "pass")]
    assert [record.note for record in summary.infra] == ["it hangs"]
    assert sum(isinstance(event, MachineRequested) for event in events) == 1


def test_what_its_machine_did_not_take_any_more_runs_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And may be aborted there; the attempt that was not taken has its record before the next one begins."""

    def leave(worker: Worker, test: Test, attempt: int) -> None:
        monkeypatch.setattr(Worker, "run", run)
        worker.release()

    def listen(event: Event) -> None:
        if isinstance(event, TestStarted) and event.serial == 1 and event.attempt == 2:
            orchestrator.abort_test("p", 1, "it hangs")

    run = Worker.run
    monkeypatch.setattr(Worker, "run", leave)
    orchestrator, events = pool_of(tmp_path, "sleep 60", "true")
    orchestrator.subscribe(listen)
    summary = orchestrator.run()
    assert summary.stopped is None
    assert summary.counts == {"infra": 1, "pass": 1}
    assert finals(tmp_path) == [("/t1", 1, "infra"), ("/t1", 2, "infra"), ("/t2", 1, "pass")]
    [lost, aborted, _] = read_finals(tmp_path / "run")
    [first, _] = [event.machine for event in events if isinstance(event, MachineReserved)]
    assert (lost.note, aborted.note) == (f"{first} was given back before it began", "it hangs")
    attempts = [(e.serial, e.attempt) for e in events if isinstance(e, TestFinished)]
    assert attempts == [(1, 1), (1, 2), (2, 1)]


def test_a_test_that_waits_is_given_up(tmp_path: Path) -> None:
    def listen(event: Event) -> None:
        if isinstance(event, TestStarted) and event.serial == 1:
            orchestrator.abort_test("p", 2, "it is broken")
            (tmp_path / "aborted").touch()

    wait = f"until [ -e {tmp_path}/aborted ]; do sleep 0.05; done"
    orchestrator, _ = pool_of(tmp_path, wait, "touch $TMT_TREE/never", "true")
    orchestrator.subscribe(listen)
    summary = orchestrator.run()
    assert summary.counts == {"pass": 2, "infra": 1}
    [record] = summary.infra
    assert (record.test, record.note, record.machine) == ("/t2", "it is broken", None)
