"""What a user's Orchestrator decides otherwise, on this machine through the real agent."""

import math
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from atex_executor import Executor, RunOutcome, Sink
from atex_fmf import Suite, Test
from atex_orchestrator import Orchestrator, summarize
from atex_orchestrator.events import Event, MachineReleased, TestFinished
from atex_orchestrator.results import FinalRecord, read_finals
from atex_provision import ConnectionLost, LeaseJournal, LocalProvisioner, Machine, Provisioner

from tests.orchestrator.provisioners import Fresh, Refusing


def numbered(*scripts: str) -> tuple[Test, ...]:
    return tuple(Test(name=f"/t{n}", test=text) for n, text in enumerate(scripts, start=1))


def start(
    orchestrator: Orchestrator,
    tmp_path: Path,
    *tests: Test,
    machines: int = 1,
    provisioner: type[Provisioner] = LocalProvisioner,
) -> list[Event]:
    """Give `orchestrator` its tests and machines, and return a list of its events to come."""
    events: list[Event] = []
    orchestrator.subscribe(events.append)
    (tmp_path / "tree").mkdir(exist_ok=True)
    orchestrator.add_platform("p", Suite(root=str(tmp_path / "tree"), tests=tests))
    orchestrator.add_provisioner(provisioner, platform="p", max_workers=machines)
    return events


def order(events: Sequence[Event]) -> list[str]:
    """The names of tests as they ended."""
    return [event.test for event in events if isinstance(event, TestFinished)]


def test_what_is_run_around_a_test_and_where_results_go(tmp_path: Path) -> None:
    """Both in a thread of the machine's; the record is in the folder when it is handed out."""

    class Own(Orchestrator):
        def run_test(
            self, machine: Machine, executor: Executor, test: Test, sink: Sink, attempt: int
        ) -> RunOutcome:
            assert machine.platform is not None
            before.append((machine.name, machine.platform.name, attempt))
            machine.connection.run(f"touch {tmp_path}/before", timeout=30)
            return super().run_test(machine, executor, test, sink, attempt)

        def output_result(self, test: Test, record: FinalRecord) -> None:
            assert record in read_finals(tmp_path / "run")
            results.append((test.name, record.status, threading.current_thread()))

    before: list[tuple[str, str, int]] = []
    results: list[tuple[str, str, threading.Thread]] = []
    orchestrator = Own(tmp_path / "run")
    start(orchestrator, tmp_path, *numbered(f"[ -e {tmp_path}/before ]", "exit 3"))
    orchestrator.run()
    assert before == [("local", "p", 1)] * 2
    assert [(name, status) for name, status, _ in results] == [("/t1", "pass"), ("/t2", "fail")]
    assert {thread.name for _, _, thread in results} == {"worker-1"}


def test_results_of_tests_that_were_never_started(tmp_path: Path) -> None:
    class Own(Orchestrator):
        def output_result(self, test: Test, record: FinalRecord) -> None:
            results.append((test.name, record.status, threading.current_thread()))

    results: list[tuple[str, str, threading.Thread]] = []
    orchestrator = Own(tmp_path / "run")
    start(orchestrator, tmp_path, *numbered("true", "true"), provisioner=Refusing)
    orchestrator.run()
    here = threading.current_thread()
    assert sorted(results, key=str) == [("/t1", "infra", here), ("/t2", "infra", here)]


@pytest.mark.parametrize("runs_it", [False, True])
def test_a_bug_around_a_test_stops_the_run(tmp_path: Path, runs_it: bool) -> None:
    """Each attempt has one final record, whether the test was run before the bug or not."""

    class Own(Orchestrator):
        def run_test(
            self, machine: Machine, executor: Executor, test: Test, sink: Sink, attempt: int
        ) -> RunOutcome:
            if runs_it:
                super().run_test(machine, executor, test, sink, attempt)
            raise LookupError("a bug")

    orchestrator = Own(tmp_path / "run")
    start(orchestrator, tmp_path, *numbered("true", "true"))
    with pytest.raises(LookupError, match="a bug"):
        orchestrator.run()
    finals = Counter((final.test, final.status) for final in read_finals(tmp_path / "run"))
    assert finals == {("/t1", "pass" if runs_it else "infra"): 1, ("/t2", "infra"): 1}
    assert summarize(tmp_path / "run").stopped == "atex broke: LookupError: a bug"


@pytest.mark.parametrize("provisioner", [LocalProvisioner, Refusing])
def test_a_result_that_can_not_be_handed_out_stops_the_run(
    tmp_path: Path, provisioner: type[Provisioner]
) -> None:
    class Own(Orchestrator):
        def output_result(self, test: Test, record: FinalRecord) -> None:
            raise OSError("the database is down")

    orchestrator = Own(tmp_path / "run")
    start(orchestrator, tmp_path, *numbered("true", "true"), provisioner=provisioner)
    with pytest.raises(OSError, match="the database is down"):
        orchestrator.run()
    assert [final.test for final in read_finals(tmp_path / "run")] == ["/t1", "/t2"]


def test_a_bug_in_a_decision_stops_the_run(tmp_path: Path) -> None:
    class Own(Orchestrator):
        def fitness(self, test: Test, machine: Machine) -> float:
            raise LookupError("a bug")

    orchestrator = Own(tmp_path / "run")
    start(orchestrator, tmp_path, *numbered("true", "true"))
    with pytest.raises(LookupError, match="a bug"):
        orchestrator.run()
    summary = summarize(tmp_path / "run")
    assert (summary.counts, summary.missing) == ({"infra": 2}, ())


@pytest.mark.parametrize("method", ["run_test", "output_result", "fitness", "listener"])
def test_what_would_end_the_process_stops_the_run(tmp_path: Path, method: str) -> None:
    """The machine is given back, and each attempt has one final record, as after any bug."""

    def end(*_args: object) -> Any:
        raise SystemExit("enough")

    def listen(event: Event) -> None:
        if isinstance(event, TestFinished):
            end()

    kind = type("Own", (Orchestrator,), {} if method == "listener" else {method: end})
    orchestrator = kind(tmp_path / "run")
    events = start(orchestrator, tmp_path, *numbered("true", "true"))
    if method == "listener":
        orchestrator.subscribe(listen)
    with pytest.raises(SystemExit, match="enough"):
        orchestrator.run()
    finals = sorted((final.test, final.attempt) for final in read_finals(tmp_path / "run"))
    assert finals == [("/t1", 1), ("/t2", 1)]
    [released] = [event for event in events if isinstance(event, MachineReleased)]
    assert released.held is None
    assert LeaseJournal().leases() == []
    assert "SystemExit: enough" in str(summarize(tmp_path / "run").stopped)


@pytest.mark.parametrize("runs_it", [False, True])
def test_a_machine_that_is_lost_around_a_test_is_replaced(tmp_path: Path, runs_it: bool) -> None:
    """The verdict stands where there is one; otherwise the attempt ends at once, and another one follows."""

    class Own(Orchestrator):
        def run_test(
            self, machine: Machine, executor: Executor, test: Test, sink: Sink, attempt: int
        ) -> RunOutcome:
            if (test.name, attempt) == ("/t1", 1):
                if runs_it:
                    super().run_test(machine, executor, test, sink, attempt)
                raise ConnectionLost("the cable is out")
            return super().run_test(machine, executor, test, sink, attempt)

        def output_result(self, test: Test, record: FinalRecord) -> None:
            results.append((test.name, record.attempt, record.status))

    results: list[tuple[str, int, str]] = []
    orchestrator = Own(tmp_path / "run")
    events = start(orchestrator, tmp_path, *numbered("true", "true"), provisioner=Fresh)
    summary = orchestrator.run()
    assert (summary.stopped, summary.counts) == (None, {"pass": 2})
    first = [("/t1", 1, "pass")] if runs_it else [("/t1", 1, "infra"), ("/t1", 2, "pass")]
    assert results == [*first, ("/t2", 1, "pass")]
    finals = read_finals(tmp_path / "run")
    assert [(final.test, final.attempt, final.status) for final in finals] == results
    finished = [event for event in events if isinstance(event, TestFinished)]
    assert [(event.test, event.attempt, event.status) for event in finished] == results
    assert finished[0].machine != finished[-1].machine
    [trouble] = summary.troubles
    assert trouble.reason == "the cable is out"


def test_a_machine_with_a_snapshot_takes_the_snapshot_tests_first(tmp_path: Path) -> None:
    class Own(Orchestrator):
        def fitness(self, test: Test, machine: Machine) -> float:
            return 1.0 if "snapshot" in test.tag and "snapshot" in machine.marks else 0.0

    snapshot = 'echo mark snapshot=s1 >&"$ATEX_TEST_CONTROL"'
    first, second, third, fourth = numbered(snapshot, "true", "true", "true")
    third = Test(name="/t3", test="true", tag=("snapshot",))
    orchestrator = Own(tmp_path / "run")
    events = start(orchestrator, tmp_path, first, second, third, fourth)
    orchestrator.run()
    assert order(events) == ["/t1", "/t3", "/t2", "/t4"]


def test_what_no_machine_takes_is_given_up(tmp_path: Path) -> None:
    class Own(Orchestrator):
        def applicable(self, test: Test, machine: Machine) -> bool:
            return test.name != "/t1"

        def fitness(self, test: Test, machine: Machine) -> float:
            return -math.inf if test.name == "/t3" else float(test.serial)

    orchestrator = Own(tmp_path / "run")
    events = start(orchestrator, tmp_path, *numbered(*["true"] * 4))
    summary = orchestrator.run()
    assert order(events) == ["/t4", "/t2"]
    assert summary.counts == {"pass": 2, "infra": 2}
    assert sum(isinstance(event, MachineReleased) for event in events) < 5


def test_next_test_chooses_and_may_let_the_machine_go(tmp_path: Path) -> None:
    class Own(Orchestrator):
        def next_test(self, machine: Machine, tests: Sequence[Test]) -> Test | None:
            choices.append((machine.name, [test.name for test in tests]))
            return tests[-1] if len(tests) > 1 else None

    choices: list[tuple[str, list[str]]] = []
    orchestrator = Own(tmp_path / "run")
    events = start(orchestrator, tmp_path, *numbered(*["true"] * 3))
    summary = orchestrator.run()
    assert choices == [
        ("local", ["/t1", "/t2", "/t3"]),
        ("local", ["/t1", "/t2"]),
        ("local", ["/t1"]),
    ]
    assert order(events) == ["/t3", "/t2"]
    assert summary.counts == {"pass": 2, "infra": 1}


def test_what_is_run_again(tmp_path: Path) -> None:
    """The default says that a test is run again once; here only what has the exit code 3, and then twice."""

    class Own(Orchestrator):
        def should_rerun(self, test: Test, record: FinalRecord, machine: Machine) -> bool:
            asked.append((test.name, record.attempt, super().should_rerun(test, record, machine)))
            return record.exit_code == 3 and self.failures_before(record) < 2

    asked: list[tuple[str, int, bool]] = []
    orchestrator = Own(tmp_path / "run", reruns=1)
    events = start(orchestrator, tmp_path, *numbered("exit 3", "exit 4"))
    summary = orchestrator.run()
    assert order(events).count("/t1") == 3
    assert sorted(asked) == [
        ("/t1", 1, True),
        ("/t1", 2, False),
        ("/t1", 3, False),
        ("/t2", 1, True),
    ]
    assert summary.counts == {"fail": 2}


def test_what_spoils_a_machine(tmp_path: Path) -> None:
    class Own(Orchestrator):
        def destructive(self, test: Test, record: FinalRecord, machine: Machine) -> bool:
            return record.exit_code == 3 or super().destructive(test, record, machine)

    tagged = Test(name="/tagged", test="true", tag=("destructive",))
    orchestrator = Own(tmp_path / "run")
    events = start(orchestrator, tmp_path, *numbered("exit 3", "exit 4"), tagged, provisioner=Fresh)
    orchestrator.run()
    by = [event.machine for event in events if isinstance(event, TestFinished)]
    assert by[0] != by[1]
    assert by[1] == by[2]
