"""A run goes on in a process of ours: faults at its first steps, and what lines that are lost cost."""

import errno
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from atex_executor import Pack
from atex_orchestrator import Orchestrator, OrchestratorError, heritage, resumption
from atex_orchestrator.events import Event, RunResumed, TestStarted
from atex_orchestrator.garbage import give_back
from atex_orchestrator.results import RunFolder, read_finals
from atex_provision import Lease, LeaseJournal, LocalProvisioner, ProvisionError

from tests.audit import audit
from tests.orchestrator.resumed import kill_run, pool_of
from tests.waits import PATIENCE

FOUR = ("true", "true", "true", "true")
# Of two machines, one still has the second when the other one is about to get the third.
TWO_AT_ONCE = (
    "until [ -e GO/begun ]; do sleep 0.05; done",
    "touch GO/begun; until [ -e GO/go ]; do sleep 0.05; done",
    "true",
    "true",
)


def two_at_once(folder: Path) -> list[str]:
    return [script.replace("GO", str(folder)) for script in TWO_AT_ONCE]


def fail_once(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, error: BaseException
) -> None:
    """Let a function raise this, the first time that it is called."""
    real = getattr(owner, name)
    todo = [error]

    def call(*args: object, **named: object) -> object:
        if todo:
            raise todo.pop()
        return real(*args, **named)

    monkeypatch.setattr(owner, name, call)


def interrupt(orchestrator: Orchestrator, error: BaseException) -> None:
    def listen(event: Event) -> None:
        if isinstance(event, RunResumed):
            raise error

    orchestrator.subscribe(listen)


FULL = OSError(errno.ENOSPC, "No space left on device")
Fault = Callable[[pytest.MonkeyPatch, Orchestrator], None]
FAULTS: dict[str, Fault] = {
    "run.json": lambda patch, _: fail_once(patch, RunFolder, "write_info", FULL),
    "a listener": lambda _, pool: interrupt(pool, RuntimeError("a bug")),
    "Ctrl-C": lambda _, pool: interrupt(pool, KeyboardInterrupt()),
    "claiming": lambda patch, _: fail_once(patch, heritage, "adopt", RuntimeError("a bug")),
    "closing": lambda patch, _: fail_once(
        patch, resumption, "unstarted_record", KeyboardInterrupt()
    ),
    "packing": lambda patch, _: fail_once(patch, Pack, "start", RuntimeError("a bug")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_the_beginning_costs_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """It can be resumed again, and each attempt has one final record."""
    run = tmp_path / "run"
    scripts = two_at_once(tmp_path)
    kill_run(run, *scripts, machines=2, at="TestStarted", serial=3)
    before = [(r.serial, r.attempt, r.status) for r in read_finals(run)]
    assert before == [(1, 1, "pass")]
    broken = pool_of(run, *scripts, machines=2, resume=True)
    FAULTS[fault](monkeypatch, broken)
    with pytest.raises((RuntimeError, KeyboardInterrupt, OrchestratorError)):
        broken.run()
    (tmp_path / "go").touch()
    finals = [(r.serial, r.attempt, r.status) for r in read_finals(run)]
    assert finals.count((1, 1, "pass")) == 1
    summary = pool_of(run, *scripts, machines=2, resume=True).run()
    assert summary.counts == {"pass": 4}
    assert not summary.held
    assert audit(run) == []


def test_tests_of_no_platform_go_on(tmp_path: Path) -> None:
    """One that ran is taken over, one that was about to begin is tried again."""
    run = tmp_path / "run"
    scripts = two_at_once(tmp_path)
    kill_run(run, *scripts, machines=2, anywhere=True, at="TestStarted", serial=3)
    (tmp_path / "go").touch()
    summary = pool_of(run, *scripts, machines=2, anywhere=True, resume=True).run()
    assert summary.counts == {"pass": 4}
    assert sorted((r.serial, r.attempt, r.status) for r in read_finals(run)) == [
        (1, 1, "pass"),
        (2, 1, "pass"),
        (3, 1, "infra"),
        (3, 2, "pass"),
        (4, 1, "pass"),
    ]
    assert audit(run) == []


@pytest.mark.parametrize("at", ["TestAborted", "TestFinished"])
def test_what_was_aborted_is_not_run_again(tmp_path: Path, at: str) -> None:
    """Whether its attempt had ended when the process was killed, or not."""
    run = tmp_path / "run"
    kill_run(run, "sleep 60", "true", at=at, serial=1, abort=1)
    summary = pool_of(run, "sleep 60", "true", resume=True).run()
    assert summary.counts == {"infra": 1, "pass": 1}
    (aborted,) = [record for record in read_finals(run) if record.serial == 1]
    assert "nobody wants it" in (aborted.note or "")
    assert audit(run) == []


class Stuck(LocalProvisioner):
    """Its machines can not be given back while `cloud_is_down`."""

    cloud_is_down = False

    def _free(self, lease: Lease) -> None:
        if self.cloud_is_down:
            raise ProvisionError("the cloud is down")
        super()._free(lease)


@pytest.mark.parametrize("collected", [False, True])
def test_what_could_not_be_given_back_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collected: bool
) -> None:
    """Unless `atex gc` did it meanwhile; what was said before is over."""
    run = tmp_path / "run"
    stopped = pool_of(run, *FOUR, backend=Stuck)
    stopped.subscribe(
        lambda event: stopped.abort("enough") if isinstance(event, TestStarted) else None
    )
    monkeypatch.setattr(Stuck, "cloud_is_down", True)
    (held,) = stopped.run().held
    assert "the cloud is down" in held
    monkeypatch.setattr(Stuck, "cloud_is_down", False)
    journal = LeaseJournal()
    (lease,) = journal.leases()
    if collected:
        give_back(lease, journal)
    summary = pool_of(run, *FOUR, resume=True).run()
    assert summary.counts == {"pass": 4}
    assert summary.held == ()
    assert journal.leases() == []


def test_a_machine_that_is_still_being_given_back_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    freed = threading.Event()

    def slow(leases: Sequence[Lease], journal: LeaseJournal) -> Iterator[tuple[Lease, str]]:
        go.wait(PATIENCE)
        yield from ((lease, give_back(lease, journal)) for lease in leases)
        freed.set()

    run = tmp_path / "run"
    kill_run(run, *FOUR, at="TestStarted", serial=3)
    monkeypatch.setattr(heritage, "give_back_all", slow)
    monkeypatch.setattr(heritage, "PATIENCE", 0.1)
    resumed = pool_of(run, *FOUR, machines=2, resume=True, take_over=True)
    try:
        (held,) = resumed.run().held
    finally:
        go.set()
        assert freed.wait(PATIENCE)
    assert "is not given back yet; `atex gc local-" in held


def test_the_line_of_a_test_that_was_added_is_lost(tmp_path: Path) -> None:
    """Its results are left as they are, the others go on, and its serial is not given again."""
    run = tmp_path / "run"
    scripts = ('echo "addtest /t2" >&"$ATEX_TEST_CONTROL"', "sleep 0.2")
    kill_run(run, *scripts, at="TestStarted", serial=3)
    events = run / "events.jsonl"
    lines = [
        line for line in events.read_text().splitlines() if json.loads(line).get("serial") != 3
    ]
    events.write_text("".join(f"{line}\n" for line in lines))
    with (run / "results.jsonl").open("a") as results:
        record = {"test": "/t2", "platform": "p", "serial": 3, "attempt": 1, "machine": "m"}
        results.write(json.dumps({**record, "status": "pass", "final": True}) + "\n")
    summary = pool_of(run, *scripts, resume=True).run()
    assert summary.missing == ()
    assert {(r.serial, r.status) for r in read_finals(run)} == {
        (1, "pass"),
        (2, "pass"),
        (3, "pass"),
    }
