"""The owner of a run, with machines that are trouble. With machines that work: test_pool_runs.py."""

import json
import threading
import time
from pathlib import Path

import pytest
from atex_executor import Executor, FolderSink, SinkFull
from atex_fmf import Phase, Plan, Suite, Test
from atex_orchestrator import FolderInUse, Orchestrator, SetupError, Summary, summarize
from atex_orchestrator import run as run_module
from atex_orchestrator.events import (
    Event,
    MachineFailed,
    MachineReleased,
    MachineRequested,
    RunEnded,
    RunStarted,
    RunStopping,
    TestsGivenUp,
    TestStarted,
)
from atex_orchestrator.reporter import LONGEST_REASON
from atex_orchestrator.results import read_events, read_run
from atex_orchestrator.worker import Worker

from tests.orchestrator.provisioners import Broken, Deaf, Endless, Fresh, Refusing, Watched


def suite_of(tmp_path: Path, count: int) -> Suite:
    tree = tmp_path / "tree"
    tree.mkdir(exist_ok=True)
    return Suite(
        root=str(tree), tests=tuple(Test(name=f"/t{n}", test="true") for n in range(1, count + 1))
    )


def all_infra(summary: Summary, count: int, note: str) -> None:
    assert summary.counts == {"infra": count}
    assert summary.missing == ()
    assert {record.note for record in summary.infra} == {note}


def test_without_tests_nothing_is_asked_for(tmp_path: Path) -> None:
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.add_platform("p", suite_of(tmp_path, 0))
    orchestrator.add_provisioner(Broken, platform="p")
    summary = orchestrator.run()
    assert summary.tests == 0
    assert summary.info.ended
    assert [type(event) for event in read_events(tmp_path / "run")] == [RunStarted, RunEnded]


def test_what_does_not_fit_together(tmp_path: Path) -> None:
    orchestrator = Orchestrator(tmp_path / "run")
    with pytest.raises(SetupError, match="q is not known"):
        orchestrator.add_provisioner(Refusing, platform="q")
    orchestrator.add_platform("p", suite_of(tmp_path, 1))
    with pytest.raises(SetupError, match="p was added twice"):
        orchestrator.add_platform("p", suite_of(tmp_path, 1))
    with pytest.raises(SetupError, match="0 machines"):
        orchestrator.add_provisioner(Refusing, platform="p", max_workers=0)
    with pytest.raises(SetupError, match="p has tests and no machines"):
        orchestrator.run()
    assert not (tmp_path / "run").exists()


def test_a_plan_that_is_not_supported(tmp_path: Path) -> None:
    plan = Plan(name="/plan", prepare=(Phase(name="playbook", how="ansible"),))
    suite = Suite(root=str(tmp_path), tests=(), plan=plan)
    with pytest.raises(SetupError, match=r"/plan: phase 'playbook'.*ansible.*not supported"):
        Orchestrator(tmp_path / "run").add_platform("p", suite)


def test_a_pattern_that_can_mean_nothing(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"'\.\./x'"):
        Orchestrator(tmp_path / "run", exclude=["../x"]).add_platform("p", suite_of(tmp_path, 1))


def test_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").write_text("precious")
    orchestrator = Orchestrator(tmp_path / "run")
    with pytest.raises(FolderInUse):
        orchestrator.run()


def test_when_no_machine_is_left_every_test_has_the_reasons(tmp_path: Path) -> None:
    events: list[Event] = []
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.subscribe(events.append)
    orchestrator.add_platform("p", suite_of(tmp_path, 3))
    orchestrator.add_provisioner(lambda: Refusing("a:\n  refused"), platform="p", name="ssh:a")
    orchestrator.add_provisioner(lambda: Refusing("b: timed out"), platform="p", name="ssh:b")
    summary = orchestrator.run()
    [note] = {record.note for record in summary.infra}
    assert note in {
        "no machine of platform p is left:\na: refused\nb: timed out",
        "no machine of platform p is left:\nb: timed out\na: refused",
    }
    assert summary.counts == {"infra": 3}
    assert sorted(trouble.machine for trouble in summary.troubles) == ["ssh:a", "ssh:b"]
    assert summary.stopped is None
    assert summary.left == {}
    assert list(read_events(tmp_path / "run")) == events
    assert [type(event) for event in events].count(TestsGivenUp) == 1


def test_a_machine_that_talks_too_much_is_cut_short(tmp_path: Path) -> None:
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.add_platform("p", suite_of(tmp_path, 2))
    orchestrator.add_provisioner(lambda: Refusing("blah " * 10_000), platform="p")
    summary = orchestrator.run()
    [trouble] = summary.troubles
    assert trouble.reason == ("blah " * 10_000)[:LONGEST_REASON]
    assert all(len(record.note or "") < 2 * LONGEST_REASON for record in summary.infra)


def test_run_json_says_what_was_asked_and_no_secret(tmp_path: Path) -> None:
    orchestrator = Orchestrator(
        tmp_path / "run", environment={"A": "1"}, secrets={"TOKEN": "s3cr3t"}, grace=7.0
    )
    orchestrator.add_platform("p", suite_of(tmp_path, 2), context={"arch": ["x86_64"]})
    orchestrator.add_provisioner(Refusing, platform="p", max_workers=2, name="2xnone")
    orchestrator.run()
    info = read_run(tmp_path / "run")
    assert info.environment == {"A": "1"}
    assert info.secrets == ["TOKEN"]
    assert info.grace == 7.0
    assert info.versions["atex_orchestrator"]
    [platform] = info.platforms
    assert platform.context == {"arch": ["x86_64"]}
    assert platform.tests == {1: "/t1", 2: "/t2"}
    assert json.loads((tmp_path / "run" / "run.json").read_text())["pools"] == [
        {"platform": "p", "name": "2xnone", "machines": 2}
    ]
    assert not any("s3cr3t" in file.read_text() for file in tmp_path.rglob("*") if file.is_file())


def test_abort_ends_a_reservation_and_writes_every_record(tmp_path: Path) -> None:
    waiting = threading.Event()
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.add_platform("p", suite_of(tmp_path, 3))
    orchestrator.add_provisioner(lambda: Endless(waiting), platform="p", max_workers=2)

    def abort() -> None:
        waiting.wait(30)
        orchestrator.abort("enough")
        orchestrator.abort("more than enough")

    thread = threading.Thread(target=abort)
    thread.start()
    summary = orchestrator.run()
    thread.join()
    all_infra(summary, 3, "enough")
    assert summary.stopped == "enough"
    assert read_run(tmp_path / "run").stopped == "enough"
    kinds = [type(event) for event in read_events(tmp_path / "run")]
    assert MachineFailed not in kinds
    assert kinds.count(MachineReleased) == kinds.count(MachineRequested) == 2
    assert kinds[-1] is RunEnded


def test_abort_before_the_run(tmp_path: Path) -> None:
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.add_platform("p", suite_of(tmp_path, 3))
    orchestrator.add_provisioner(lambda: Endless(threading.Event()), platform="p")
    orchestrator.abort("too late")
    all_infra(orchestrator.run(), 3, "too late")


def test_a_worker_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "STOP_LIMIT", 0.2)
    monkeypatch.setattr(run_module, "AT_ONCE_LIMIT", 0.2)
    waiting, over = threading.Event(), threading.Event()
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.add_platform("p", suite_of(tmp_path, 2))
    orchestrator.add_provisioner(lambda: Deaf(waiting, over), platform="p")
    orchestrator.abort("enough")
    try:
        all_infra(orchestrator.run(), 2, "enough")
    finally:
        over.set()
    stops = [e for e in read_events(tmp_path / "run") if isinstance(e, RunStopping)]
    assert [stop.at_once for stop in stops] == [False, True]


def test_a_worker_that_can_not_be_started_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(worker: Worker) -> None:
        if worker.number == 2:
            raise RuntimeError("can't start new thread")
        start_it(worker)

    start_it = Worker.start
    monkeypatch.setattr(Worker, "start", start)
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.add_platform("p", suite_of(tmp_path, 2))
    waiting = threading.Event()
    orchestrator.add_provisioner(lambda: Endless(waiting), platform="p", max_workers=2)
    begun = time.monotonic()
    with pytest.raises(RuntimeError, match="can't start new thread"):
        orchestrator.run()
    assert time.monotonic() - begun < run_module.STOP_LIMIT / 2
    all_infra(summarize(tmp_path / "run"), 2, "atex broke: RuntimeError: can't start new thread")


def test_a_bug_in_a_provisioner_is_raised_when_all_is_written(tmp_path: Path) -> None:
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.add_platform("p", suite_of(tmp_path, 2))
    orchestrator.add_provisioner(Broken, platform="p")
    with pytest.raises(KeyError, match="a bug"):
        orchestrator.run()
    results = (tmp_path / "run" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in results] == ["infra", "infra"]
    assert "KeyError" in (tmp_path / "run" / "log.txt").read_text()


@pytest.mark.leaves_leases  # for nobody knows what became of the agent
def test_a_bug_in_the_executor_does_not_keep_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = Executor.close

    def broken(executor: Executor) -> None:
        close(executor)
        raise KeyError("a bug")

    monkeypatch.setattr(Executor, "close", broken)
    released = threading.Event()
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.add_platform("p", suite_of(tmp_path, 1))
    orchestrator.add_provisioner(lambda: Watched(released.set), platform="p")
    with pytest.raises(KeyError, match="a bug"):
        orchestrator.run()
    assert released.is_set()


def test_a_disk_that_is_full_for_all_but_records_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def output(self: FolderSink, path: str, offset: int, data: bytes) -> None:
        if data:
            raise SinkFull("no room for results")
        self.write(path, offset, data)

    monkeypatch.setattr(FolderSink, "output", output)
    tests = tuple(Test(name=f"/t{n}", test="echo x") for n in range(5))
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.add_platform("p", Suite(root=suite_of(tmp_path, 0).root, tests=tests))
    orchestrator.add_provisioner(lambda: Watched(lambda: None), platform="p")
    summary = orchestrator.run()
    assert summary.counts == {"infra": 5}
    events = list(read_events(tmp_path / "run"))
    assert sum(isinstance(event, TestStarted) for event in events) == 1
    reasons = [event.reason for event in events if isinstance(event, RunStopping)]
    assert reasons == ["the run folder can not be written: no room for results"]


def test_a_tree_that_can_not_be_packed_stops_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is no machine's fault: none is asked for instead of those that it was to be brought to."""
    tests = suite_of(tmp_path, 5).tests
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.add_platform("p", Suite(root=str(tmp_path / "none"), tests=tests))
    orchestrator.add_provisioner(Fresh, platform="p", max_workers=2)
    summary = orchestrator.run()
    reason = f"the tree can not be read: {tmp_path}/none: No such file or directory"
    assert summary.stopped == reason
    assert {record.note for record in summary.infra} == {reason}
    assert summary.counts == {"infra": 5}
    assert not summary.left
    events = list(read_events(tmp_path / "run"))
    requested = [event.worker for event in events if isinstance(event, MachineRequested)]
    released = [event.worker for event in events if isinstance(event, MachineReleased)]
    assert requested == sorted(released) == [1, 2]
    assert not [record for record in caplog.records if record.exc_info]


def test_a_listener_that_raises_stops_the_run(tmp_path: Path) -> None:
    def listen(event: Event) -> None:
        if isinstance(event, MachineRequested):
            raise ValueError("not with me")

    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.subscribe(listen)
    orchestrator.add_platform("p", suite_of(tmp_path, 2))
    orchestrator.add_provisioner(lambda: Endless(threading.Event()), platform="p")
    with pytest.raises(ValueError, match="not with me"):
        orchestrator.run()
    assert len((tmp_path / "run" / "results.jsonl").read_text().splitlines()) == 2


def test_ctrl_c_in_a_script_without_handlers(tmp_path: Path) -> None:
    def listen(event: Event) -> None:
        if isinstance(event, MachineRequested):
            raise KeyboardInterrupt

    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.subscribe(listen)
    orchestrator.add_platform("p", suite_of(tmp_path, 2))
    orchestrator.add_provisioner(lambda: Endless(threading.Event()), platform="p")
    with pytest.raises(KeyboardInterrupt):
        orchestrator.run()
    results = (tmp_path / "run" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["note"] for line in results] == ["interrupted", "interrupted"]
    assert read_run(tmp_path / "run").stopped == "interrupted"
