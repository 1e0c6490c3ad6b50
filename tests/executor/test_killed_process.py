"""A process is killed with -9 in the middle of a test, and another one goes on."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from atex_executor import (
    AddedTest,
    Executor,
    SessionGone,
    discard,
    read_journal,
)
from atex_executor.journal import Attempt
from atex_executor.recorder import Recorder
from atex_fmf import Phase, Plan, Test
from atex_provision import LocalConnection

from tests.executor import numbered, successor
from tests.executor.conftest import Execute, Run, suite_of
from tests.machines import Sshd
from tests.waits import eventually

KILLS = 4
RESULTS = 200  # between two kills

PARTIAL = r"""echo "result {\"name\": \"whole\", \"partial\": true, \"rounds\": [$round]}" >&$ATEX_TEST_CONTROL"""


class Successors:
    """One process after the other, for one test in one run folder."""

    def __init__(self, folder: Path, work: str, host: dict[str, Any] | None) -> None:
        self.folder = folder
        self.work = work
        self.script = "true"
        self.attempt = 1
        self.forgetful = False
        self.session: str | None = None
        self._host = host
        self._processes: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        """Start the next one; returns when it is attached."""
        specification = {
            "run": str(self.folder / "run"),
            "tree": str(self.folder / "tree"),
            "work": self.work,
            "script": self.script,
            "session": self.session,
            "host": self._host,
            "attempt": self.attempt,
            "forgetful": self.forgetful,
        }
        argv = [sys.executable, successor.__file__, json.dumps(specification)]
        process = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment(),
        )
        self._processes.append(process)
        assert process.stdout is not None
        word, self.session = process.stdout.readline().split()
        assert word == "session"

    def kill(self) -> None:
        """Kill the present one with -9."""
        self._processes[-1].kill()
        self.wait()

    def wait(self) -> None:
        """Return when the present one has ended."""
        self._processes[-1].wait(60)

    def outcome(self) -> tuple[str, str | None]:
        """The status and the note with which the present one ends."""
        process = self._processes[-1]
        assert process.stdout is not None
        status, note = json.loads(process.stdout.readline())
        process.wait(60)
        return status, note

    def close(self) -> None:
        for process in self._processes:
            with process:
                process.kill()

    def _environment(self) -> dict[str, str]:
        root = str(Path(__file__).parents[2])
        return {**os.environ, "PYTHONPATH": root}


@pytest.fixture(params=["local", "ssh"])
def successors(
    request: pytest.FixtureRequest, tmp_path: Path, tree: Path, work: str, own_home: Path
) -> Iterator[Successors]:
    """Processes on this machine, or over ssh."""
    host = None
    if request.param == "ssh":
        server: Sshd = request.getfixturevalue("sshd")
        host = {
            "address": server.address,
            "port": server.port,
            "user": server.user,
            "identity": str(server.identity),
        }
    successors = Successors(tmp_path, work, host)
    yield successors
    successors.close()


def records(folder: Path) -> list[dict[str, Any]]:
    with (folder / "run/results.jsonl").open("rb") as file:
        return [json.loads(line) for line in file]


def test_a_process_that_is_killed_again_and_again(successors: Successors, tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.mkdir()
    successors.script = numbered.numbered(KILLS, RESULTS, go, PARTIAL)
    lines = tmp_path / "run/results.jsonl"
    for kill in range(KILLS):
        successors.start()
        eventually(partial(numbered.has_lines, lines, kill * (RESULTS + 1) + RESULTS // 2))
        successors.kill()
        (go / str(kill)).touch()
    (go / str(KILLS)).touch()
    successors.start()
    assert successors.outcome() == ("pass", None)
    *results, final = records(tmp_path)
    named = [record["name"] for record in results]
    assert [name for name in named if name not in {"files", "whole"}] == numbered.names(
        KILLS, RESULTS
    )
    assert named.count("files") == KILLS + 1
    (whole,) = [record for record in results if record["name"] == "whole"]
    assert whole["rounds"] == list(range(KILLS + 1))
    rounds = numbered.lines(KILLS)
    files = tmp_path / "run/files"
    assert (files / "local/test/@1.1/subtests/files/log").read_text() == rounds
    assert (files / final["files"][0]).read_text() == rounds
    assert final["seconds"] > 0
    assert read_journal(tmp_path / "run") == []


def output_of(successors: Successors) -> Path:
    return successors.folder / f"run/files/local/test/@1.{successors.attempt}/output.txt"


def killed_in_the_middle(successors: Successors, script: str) -> None:
    """Kill a process while its test runs, which has printed something."""
    successors.script = script
    successors.start()
    output = output_of(successors)
    eventually(lambda: output.exists() and output.read_bytes().endswith(b"\n"))
    successors.kill()


def session_of(successors: Successors) -> str:
    assert successors.session is not None
    return successors.session


def test_a_test_that_ended_meanwhile(successors: Successors, tmp_path: Path) -> None:
    go, done = tmp_path / "go", tmp_path / "done"
    script = f"""
echo begun
until [ -e {go} ]; do sleep 0.02; done
echo 'result {{"name": "late", "status": "warn"}}' >&$ATEX_TEST_CONTROL
touch {done}
exit 4
"""
    killed_in_the_middle(successors, script)
    go.touch()
    eventually(done.exists)
    successors.start()
    assert successors.outcome() == ("fail", None)
    late, final = records(tmp_path)
    assert (late["name"], final["exit_code"]) == ("late", 4)
    assert final["seconds"] < 30


def test_a_run_that_was_recorded_and_not_acknowledged(
    successors: Successors, tmp_path: Path
) -> None:
    successors.forgetful = True
    successors.script = 'echo out; echo \'result {"name": "sub"}\' >&$ATEX_TEST_CONTROL'
    successors.start()
    successors.wait()
    assert [record.get("name") for record in records(tmp_path)] == ["sub", None]
    successors.forgetful = False
    successors.attempt = 2
    successors.start()
    assert successors.outcome() == ("pass", None)
    assert [(record["attempt"], record.get("name")) for record in records(tmp_path)] == [
        (1, "sub"),
        (1, None),
        (2, "sub"),
        (2, None),
    ]


def test_a_test_that_nobody_goes_on_with_is_ended(successors: Successors, tmp_path: Path) -> None:
    killed_in_the_middle(successors, "echo $$; exec sleep 600")
    pid = int(output_of(successors).read_text())
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    successors.script = "true"
    successors.start()
    assert successors.outcome() == ("pass", None)
    assert not Path(f"/proc/{pid}").exists()
    (final,) = records(tmp_path)
    assert final["final"]


def test_an_agent_that_died_meanwhile(successors: Successors, tmp_path: Path) -> None:
    killed_in_the_middle(successors, "echo $PPID; sleep 600")
    os.kill(int(output_of(successors).read_text()), signal.SIGKILL)
    successors.start()
    status, note = successors.outcome()
    assert status == "infra"
    assert (note or "").startswith("the agent died during this test: ")
    (final,) = records(tmp_path)
    assert final["final"]


def test_a_restart_that_another_process_saw(successors: Successors, tmp_path: Path) -> None:
    script = """
trap '' PIPE HUP
[ $TMT_REBOOT_COUNT = 0 ] || { echo again; exit 0; }
echo 'result {"name": "held", "partial": true}' >&$ATEX_TEST_CONTROL
echo restart >&$ATEX_TEST_CONTROL
while echo noop >&$ATEX_TEST_CONTROL; do sleep 0.01; done 2>/dev/null
echo $PPID
sleep 600
"""
    killed_in_the_middle(successors, script)
    agent = int(output_of(successors).read_text())
    os.kill(agent, signal.SIGKILL)
    successors.start()
    assert successors.outcome() == ("pass", None)
    assert output_of(successors).read_text() == f"{agent}\nagain\n"
    held, final = records(tmp_path)
    assert (held["name"], final["exit_code"]) == ("held", 0)


def test_a_test_that_never_began(execute: Execute, run: Run, own_home: Path) -> None:
    executor = execute(LocalConnection(), Test(name="/test", test="echo ran", serial=1))
    (test,) = executor.suite.tests
    begun = Attempt.of(
        test,
        platform="local",
        machine="local",
        attempt=1,
        started="2026-11-20T15:04:05.123Z",
        session=executor.session,
        incarnation=executor._session.incarnation,
        key="cafe",
    )
    Recorder(run.sink, begun)
    (left,) = read_journal(run.sink.folder)
    outcome = executor.resume(test, run.sink, left)
    assert (outcome.status, outcome.started) == ("pass", "2026-11-20T15:04:05.123Z")
    assert run.output(outcome.record) == "ran\n"
    assert read_journal(run.sink.folder) == []


def test_an_attempt_that_can_not_go_on(run: Run, tree: Path, work: str, own_home: Path) -> None:
    test = Test(name="/test", test="true", serial=1)
    begun = Attempt.of(
        test, platform="p", machine="m", attempt=1, started="2026-11-20T15:04:05.123Z"
    )
    Recorder(run.sink, begun)
    (left,) = read_journal(run.sink.folder)
    executor = Executor(LocalConnection(), suite_of(tree, test), work=work)
    outcome = executor.resume(test, run.sink, left)
    assert (outcome.status, outcome.note) == ("infra", "the machine is not ready")
    assert run.records() == [outcome.record]


def test_a_session_that_is_gone(tree: Path, work: str, own_home: Path) -> None:
    with LocalConnection() as connection:
        executor = Executor(connection, suite_of(tree, "true"), session="a" * 32, work=work)
        with pytest.raises(SessionGone, match="there is no session aaaaaaaa"):
            executor.start()
        assert executor.left is None
    assert not list(Path(work, "sessions").iterdir())


def test_discard(successors: Successors, work: str) -> None:
    killed_in_the_middle(successors, "echo $$; exec sleep 600")
    pid = int(output_of(successors).read_text())
    with LocalConnection() as connection:
        assert discard(connection, session_of(successors), work=work) is None
        assert not Path(f"/proc/{pid}").exists()
        assert not list(Path(work, "sessions").iterdir())
        assert discard(connection, session_of(successors), work=work) is None


def test_marks_and_added_tests_are_handed_over(execute: Execute, run: Run, own_home: Path) -> None:
    marks: dict[str, str] = {}
    added: list[AddedTest] = []
    script = """
echo 'mark snapshot=here' >&$ATEX_TEST_CONTROL
echo 'addtest /test "A=b c"' >&$ATEX_TEST_CONTROL
"""
    plan = Plan(
        prepare=(Phase(name="mark", how="shell", script=("echo mark ready >&$ATEX_TEST_CONTROL",)),)
    )
    executor = execute(
        LocalConnection(),
        script,
        plan=plan,
        on_mark=marks.__setitem__,
        on_addtest=added.append,
    )
    executor.prepare(run.sink)
    assert marks == {"ready": ""}
    assert executor.run(executor.suite.tests[0], run.sink).status == "pass"
    assert marks == {"ready": "", "snapshot": "here"}
    assert added == [AddedTest(number=1, test="/test", environment={"A": "b c"})]


def test_a_test_that_takes_the_machine_out_of_use(
    execute: Execute, run: Run, own_home: Path
) -> None:
    phase = Phase(name="clean", how="shell", script=("echo cleaned",))
    executor = execute(
        LocalConnection(),
        "echo abort it burns >&$ATEX_TEST_CONTROL; sleep 600",
        plan=Plan(finish=(phase,)),
    )
    (test,) = executor.suite.tests
    outcome = executor.run(test, run.sink)
    assert (outcome.status, outcome.machine_lost, outcome.machine_usable) == ("error", False, False)
    assert "it burns" in (outcome.note or "")
    assert not executor.alive
    again = executor.run(test, run.sink, attempt=2)
    assert (again.status, again.started) == ("infra", "")
    assert again.note == f"a test took the machine out of use: {outcome.note}"
    executor.finish(run.sink)
    assert run.file("local/@finish.local/clean.txt") == b"cleaned\n"
