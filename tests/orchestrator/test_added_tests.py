"""`addtest`: a running test asks for one more run of a test, which is scheduled anywhere in the pool."""

import errno
import json
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from atex_executor import AddedTest
from atex_fmf import Plan, Suite, Test
from atex_orchestrator import Orchestrator
from atex_orchestrator.added_tests import AddedTests
from atex_orchestrator.events import Event, TestAdded, TestStarted
from atex_orchestrator.results import RunFolder, RunInfo, read_events, read_finals
from atex_provision import LocalProvisioner

SAY = '>&"$ATEX_TEST_CONTROL"'


def pool_of(
    tmp_path: Path,
    *scripts: str,
    machines: int = 1,
    variables: Mapping[str, str] = {},
    secrets: Mapping[str, str] = {},
) -> Orchestrator:
    """Return an orchestrator for tests /t1, /t2 and so on, on this machine."""
    tree = tmp_path / "tree"
    tree.mkdir(exist_ok=True)
    tests = tuple(Test(name=f"/t{n}", test=text) for n, text in enumerate(scripts, start=1))
    plan = Plan(environment={"A": "plan", "B": "plan"})
    orchestrator = Orchestrator(tmp_path / "run", environment=variables, secrets=secrets)
    orchestrator.add_platform("p", Suite(root=str(tree), tests=tests, plan=plan))
    orchestrator.add_provisioner(LocalProvisioner, platform="p", max_workers=machines)
    return orchestrator


def added(folder: Path) -> list[TestAdded]:
    return [event for event in read_events(folder) if isinstance(event, TestAdded)]


def test_it_runs_with_its_own_variables_under_a_serial_of_its_own(tmp_path: Path) -> None:
    """Once as the plan has it and once as it was asked for."""
    shows = f'echo "$A $B $C" >> {tmp_path}/seen'
    orchestrator = pool_of(
        tmp_path, f"echo \"addtest /t2 A='1 2' C=3\" {SAY}", shows, variables={"C": "run"}
    )
    summary = orchestrator.run()
    assert (summary.counts, summary.tests, summary.missing) == ({"pass": 3}, 3, ())
    assert sorted((tmp_path / "seen").read_text().splitlines()) == ["1 2 plan 3", "plan plan run"]
    [event] = added(tmp_path / "run")
    assert (event.test, event.serial, event.environment) == ("/t2", 3, {"A": "1 2", "C": "3"})
    assert (event.platform, event.by_serial, event.by_attempt, event.number) == ("p", 1, 1, 1)
    finals = [(final.test, final.serial) for final in read_finals(tmp_path / "run")]
    assert sorted(finals) == [("/t1", 1), ("/t2", 2), ("/t2", 3)]


def test_a_secret_is_in_no_file_of_the_run(tmp_path: Path) -> None:
    """What the test asks for is refused; without the variable the added run has the secret nevertheless."""
    asks = f'[ -n "$N" ] || echo "addtest /t1 N=1" {SAY}; echo "$TOKEN" >> {tmp_path}/seen'
    shares = f'echo "addtest /t1 TOKEN=$TOKEN" {SAY}'
    orchestrator = pool_of(tmp_path, asks, shares, secrets={"TOKEN": "hunter2"})
    summary = orchestrator.run()
    assert summary.counts == {"pass": 2, "error": 1}
    assert "addtest: the variable TOKEN has a secret in it" in (summary.failed[0].note or "")
    assert (tmp_path / "seen").read_text() == "hunter2\nhunter2\n"
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if b"hunter2" in path.read_bytes()] == []


def test_it_is_written_down_before_the_test_goes_on(tmp_path: Path) -> None:
    """A test that waits for the answer to `sync` knows that what it asked for can not be lost."""
    events = tmp_path / "run/events.jsonl"
    script = (
        "python3 - <<'END'\n"
        "import os, socket\n"
        "control = socket.socket(socket.AF_UNIX)\n"
        "control.connect(os.environ['ATEX_CONTROL_FILE'])\n"
        "control.sendall(b'addtest /t2\\nsync\\n')\n"
        "assert control.recv(100)\n"
        "END\n"
        f'grep \'"event":"added"\' {events}'
    )
    orchestrator = pool_of(tmp_path, script, "true")
    assert orchestrator.run().counts == {"pass": 3}


def test_another_machine_of_the_pool_takes_it(tmp_path: Path) -> None:
    """The one whose test asked for it is busy until it is done."""
    asks = f"echo addtest /t2 X=1 {SAY}; until [ -e {tmp_path}/done ]; do sleep 0.05; done"
    waits = f'[ -z "$X" ] || touch {tmp_path}/done; [ -n "$X" ] || sleep 1'
    orchestrator = pool_of(tmp_path, asks, waits, machines=2)
    assert orchestrator.run().counts == {"pass": 3}
    started = [e for e in read_events(tmp_path / "run") if isinstance(e, TestStarted)]
    assert len({event.machine for event in started}) == 2


def test_a_test_that_was_added_adds_another_one(tmp_path: Path) -> None:
    """Serials go on; the pool ends when nobody asks for more."""
    script = f'n=${{N:-0}}; [ $n -ge 3 ] || echo "addtest /t1 N=$((n + 1))" {SAY}'
    assert pool_of(tmp_path, script).run().counts == {"pass": 4}
    assert [(e.serial, e.by_serial) for e in added(tmp_path / "run")] == [(2, 1), (3, 2), (4, 3)]


def test_when_the_run_is_stopped_it_has_its_record(tmp_path: Path) -> None:
    def listen(event: Event) -> None:
        if isinstance(event, TestAdded):
            orchestrator.abort("enough")

    orchestrator = pool_of(tmp_path, f"echo addtest /t2 {SAY}; sleep 60", "true")
    orchestrator.subscribe(listen)
    summary = orchestrator.run()
    assert (summary.counts, summary.missing) == ({"infra": 3}, ())
    assert {record.note for record in summary.infra} == {"enough"}


def test_what_can_not_be_written_down_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = RunFolder.append

    def full(self: RunFolder, event: Event) -> None:
        if isinstance(event, TestAdded):
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, event)

    monkeypatch.setattr(RunFolder, "append", full)
    summary = pool_of(tmp_path, f"echo addtest /t2 {SAY}; sleep 60", "true").run()
    assert "No space left on device" in (summary.stopped or "")
    assert summary.counts == {"infra": 2}


def test_no_serial_is_given_twice(tmp_path: Path) -> None:
    """However many machines ask at once; a line is whole. Those of a process that was killed count, too."""
    tests = (Test(name="/a", test="true"), Test(name="/b", test="true"))
    suite = Suite(root=str(tmp_path), tests=tests)
    with RunFolder(tmp_path / "run", RunInfo(started="")) as folder:
        some = AddedTests(folder, {"p": suite, "q": suite})

        def ask(number: int) -> None:
            platform = "pq"[number % 2]
            asked = AddedTest(number=number, test="/b")
            some.add(asked, worker=1, platform=platform, by=suite.tests[0], attempt=1)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(200)))
        events = added(tmp_path / "run")
        assert Counter((e.platform, e.serial) for e in events) == {
            (platform, serial): 1 for platform in "pq" for serial in range(3, 103)
        }
        again = AddedTests(folder, {"p": suite, "q": suite})
        for event in events:
            again.take(event)
        ask_again = AddedTest(number=1, test="/a", environment={"A": "1"})
        event = again.add(ask_again, worker=1, platform="p", by=suite.tests[0], attempt=2)
        assert event.serial == 103
        assert again.test("p", 103).overrides == {"A": "1"}
        assert len(again.of("p")) == 101
    lines = (tmp_path / "run/events.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == 201
