"""Connections that break under a test, agents that die, machines that do not come back."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from atex_executor import Executor, MachineLost, RunOutcome, Times
from atex_fmf import Phase, Plan, Test
from atex_provision import Connection, LocalConnection, SshConnection
from atex_sut_agent import agent_archive, attach_command
from atex_sut_agent.protocol import End, encode_host_message

from tests.executor import numbered
from tests.executor.conftest import Execute, Run, suite_of
from tests.machines import Sshd
from tests.machines.login import ssh_to
from tests.waits import Background, eventually

KILLS = 5
RESULTS = 300  # between two kills

Break = Callable[[], None]


@pytest.fixture
def ssh(sshd: Sshd, own_home: Path) -> SshConnection:
    """A connection to `sshd`, not connected yet; it is closed with its executor or with the server."""
    return ssh_to(sshd)


@pytest.fixture(params=["local", "ssh"])
def breakable(request: pytest.FixtureRequest, own_home: Path) -> tuple[Connection, Break]:
    """A connection, and what breaks it."""
    if request.param == "local":
        local = LocalConnection()
        return local, local.close
    server: Sshd = request.getfixturevalue("sshd")
    return ssh_to(server), server.kill_sessions


def started(executor: Executor, run: Run) -> Background[RunOutcome]:
    """Its first test, which has printed something."""
    test = executor.suite.tests[0]
    output = run.sink.folder / f"files/local{test.name}/@1.1/output.txt"
    running = Background(lambda: executor.run(test, run.sink))
    eventually(lambda: output.exists() and output.read_bytes().endswith(b"\n"))
    return running


def test_a_connection_that_is_killed_five_times(
    breakable: tuple[Connection, Break], execute: Execute, run: Run, tmp_path: Path
) -> None:
    connection, break_it = breakable
    go = tmp_path / "go"
    go.mkdir()
    executor = execute(connection, numbered.numbered(KILLS, RESULTS, go))
    lines = run.sink.folder / "results.jsonl"
    running = Background(lambda: executor.run(executor.suite.tests[0], run.sink))
    for kill in range(KILLS):
        half = kill * (RESULTS + 1) + RESULTS // 2
        eventually(partial(numbered.has_lines, lines, half))
        break_it()
        (go / str(kill)).touch()
    (go / str(KILLS)).touch()
    outcome = running.result(60)
    assert (outcome.status, outcome.note, outcome.machine_lost) == ("pass", None, False)
    *results, final = run.records()
    named = [record["name"] for record in results]
    assert [name for name in named if name != "files"] == numbered.names(KILLS, RESULTS)
    assert [record["n"] for record in results] == list(range(1, len(results) + 1))
    rounds = numbered.lines(KILLS)
    assert run.output(final) == rounds
    assert run.file("local/test/@1.1/subtests/files/log").decode() == rounds
    assert executor.alive


def test_orders_given_while_the_connection_is_away_arrive(
    sshd: Sshd, ssh: SshConnection, execute: Execute, run: Run
) -> None:
    executor = execute(ssh, "echo ran")
    sshd.stop()
    sshd.kill_sessions()
    running = Background(lambda: executor.run(executor.suite.tests[0], run.sink))
    sshd.start()
    outcome = running.result()
    assert (outcome.status, run.output(outcome.record)) == ("pass", "ran\n")
    executor.close()
    assert executor.left is None
    ssh.close()


def test_a_killed_agent_is_infra_and_the_next_test_runs(
    breakable: tuple[Connection, Break], execute: Execute, run: Run, tmp_path: Path
) -> None:
    connection, _ = breakable
    mark = tmp_path / "mark"
    suicide = Test(name="/suicide", test=f"kill -9 $PPID; sleep 5; touch {mark}")
    executor = execute(connection, suicide, Test(name="/next", test="echo next"))
    first, second = (executor.run(test, run.sink) for test in executor.suite.tests)
    assert (first.status, first.machine_lost) == ("infra", False)
    assert (first.note or "").startswith("the agent died during this test: the agent was")
    assert "loginctl enable-linger" in (first.note or "")
    assert (second.status, run.output(second.record)) == ("pass", "next\n")
    assert not mark.exists()
    assert run.records() == [first.record, second.record]
    connection.close()


def test_a_killed_agent_between_tests_is_no_matter(
    execute: Execute, run: Run, own_home: Path
) -> None:
    executor = execute(LocalConnection(), "echo $PPID")
    test = executor.suite.tests[0]
    first = executor.run(test, run.sink)
    os.kill(int(run.output(first.record)), signal.SIGKILL)
    # The order may reach the dead agent, and then it is infra; it is never carried out twice.
    second = executor.run(test, run.sink, attempt=2)
    assert second.status in {"pass", "infra"}
    assert executor.run(test, run.sink, attempt=3).status == "pass"


def test_an_agent_that_is_killed_between_tests_did_not_die_during_one(
    execute: Execute, run: Run, own_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    executor = execute(LocalConnection(), "echo $PPID")
    first = executor.run(executor.suite.tests[0], run.sink)
    with caplog.at_level("INFO", "atex_executor"):
        os.kill(int(run.output(first.record)), signal.SIGKILL)
        executor.close()
    assert executor.left is None
    assert "the agent ended while no test ran" in caplog.text
    assert "during this test" not in caplog.text


def test_an_agent_that_came_back_without_its_tree(
    execute: Execute, run: Run, own_home: Path
) -> None:
    executor = execute(LocalConnection(), 'rm -r "$TMT_TREE"; kill -9 $PPID; sleep 60')
    outcome = executor.run(executor.suite.tests[0], run.sink)
    assert (outcome.status, outcome.machine_lost) == ("infra", True)
    assert not executor.alive
    executor.close()
    assert executor.run(executor.suite.tests[0], run.sink, attempt=2).status == "infra"


def test_a_machine_that_shuts_down_gives_no_verdict(
    execute: Execute, run: Run, own_home: Path
) -> None:
    # What an init does: SIGTERM to all, and soon SIGKILL.
    script = "trap '' TERM; kill -TERM $PPID; sleep 0.1; kill -KILL $PPID; exit 0"
    executor = execute(LocalConnection(), script)
    outcome = executor.run(executor.suite.tests[0], run.sink)
    assert (outcome.status, outcome.note) == ("infra", "the machine went down during this test")


def test_patience_ends(sshd: Sshd, ssh: SshConnection, execute: Execute, run: Run) -> None:
    executor = execute(ssh, "echo begun; sleep 600", times=Times(patience=1.0))
    running = started(executor, run)
    sshd.stop()
    sshd.kill_sessions()
    outcome = running.result()
    assert (outcome.status, outcome.machine_lost) == ("infra", True)
    note = outcome.note or ""
    assert "could not be reached again for 1s" in note
    assert "what it runs may go on until 20" in note
    assert not executor.alive
    again = executor.run(executor.suite.tests[0], run.sink, attempt=2)
    assert (again.status, again.started, again.machine_lost) == ("infra", "", True)
    executor.close()
    assert f"{sshd.address}" in (executor.left or "")
    ssh.close()


def test_logins_that_fail_for_a_while(
    sshd: Sshd, ssh: SshConnection, execute: Execute, run: Run, tmp_path: Path
) -> None:
    """As those of a machine that has not quite booted (pam_nologin)."""
    go = tmp_path / "go"
    script = f"echo begun; until [ -e {go} ]; do sleep 0.05; done; echo done"
    executor = execute(ssh, script)
    running = started(executor, run)
    sshd.reject_logins()
    refused = sshd.log().count("Connection closed by authenticating user")
    sshd.kill_sessions()
    eventually(lambda: sshd.log().count("Connection closed by authenticating user") > refused + 1)
    sshd.accept_logins()
    go.touch()
    outcome = running.result()
    assert (outcome.status, run.output(outcome.record)) == ("pass", "begun\ndone\n")
    ssh.close()


def test_a_phase_on_a_lost_machine(
    sshd: Sshd, ssh: SshConnection, execute: Execute, run: Run
) -> None:
    plan = Plan(prepare=(Phase(name="slow", how="shell", script=("echo begun; sleep 600",)),))
    executor = execute(ssh, "true", plan=plan, times=Times(patience=0.0))
    output = run.sink.folder / "files/local/@prepare.local/slow.txt"
    preparing = Background(lambda: executor.prepare(run.sink))
    eventually(lambda: output.exists() and output.read_bytes())
    sshd.stop()
    sshd.kill_sessions()
    with pytest.raises(MachineLost, match="local: lost in prepare phase 'slow'"):
        preparing.result()
    ssh.close()


def test_a_changed_host_key_is_not_tried_again(
    sshd: Sshd, ssh: SshConnection, execute: Execute, run: Run
) -> None:
    executor = execute(ssh, "echo begun; sleep 600")
    running = started(executor, run)
    sshd.restart(new_host_key=True)
    sshd.kill_sessions()
    outcome = running.result()
    assert (outcome.status, outcome.machine_lost) == ("infra", True)
    ssh.close()


def test_cancel_of_a_machine_that_is_away(
    sshd: Sshd, ssh: SshConnection, execute: Execute, run: Run
) -> None:
    times = Times(confirm=0.3, farewell=0.3)
    executor = execute(ssh, "echo begun; sleep 600", times=times)
    running = started(executor, run)
    sshd.stop()
    sshd.kill_sessions()
    executor.cancel("enough", at_once=True)
    outcome = running.result(5)
    assert (outcome.status, outcome.machine_lost) == ("infra", True)
    note = outcome.note or ""
    assert note.startswith("enough; the agent did not confirm")
    executor.close()
    assert "did not confirm its end; what it runs may go on until" in (executor.left or "")
    assert note.partition("until ")[2] == (executor.left or "").partition("until ")[2] != ""
    ssh.close()


def test_a_test_that_was_not_sent_yet_is_cancelled_at_once(
    sshd: Sshd, ssh: SshConnection, execute: Execute, run: Run
) -> None:
    executor = execute(ssh, "echo never")
    sshd.stop()
    sshd.kill_sessions()
    state = executor._session._state
    eventually(lambda: not state.attached)
    running = Background(lambda: executor.run(executor.suite.tests[0], run.sink))
    eventually(lambda: state.run is not None)
    executor.cancel("enough")
    outcome = running.result(5)
    assert (outcome.status, outcome.note, outcome.machine_lost) == ("infra", "enough", False)
    sshd.start()
    executor.close()
    assert executor.left is None
    ssh.close()


def test_another_process_takes_the_session(
    execute: Execute, run: Run, own_home: Path, work: str
) -> None:
    executor = execute(LocalConnection(), "echo begun; sleep 600")
    running = started(executor, run)
    (session,) = Path(work, "sessions").iterdir()
    with LocalConnection() as other:
        command = attach_command(agent_archive(), session.name, work=work)
        with other.open(command) as channel:
            channel.send(encode_host_message(End(), 99))
            outcome = running.result()
            while channel.receive(100_000, timeout=60):
                pass  # until it has ended
    assert outcome.note == "another process has taken over the session"
    assert outcome.machine_lost
    executor.close()
    assert executor.left is None


def test_a_machine_that_refuses_is_told_by_start(
    sshd: Sshd, ssh: SshConnection, tree: Path, work: str
) -> None:
    sshd.stop()
    executor = Executor(ssh, suite_of(tree, "true"), work=work)
    with pytest.raises(ConnectionError):
        executor.start()
    assert executor.left is None
