"""Who dies when: spec/AGENT.md's table, with the real agent."""

import os
import signal
import time
from pathlib import Path

import pytest
from atex_sut_agent.protocol import Cancel, Failed, GoingDown, Started
from atex_sut_agent.sut.framing import pack

from tests.sut_agent.driver import Agent, Host, Lost, is_alive, wait_until, write_fifo

# Leaves three processes behind: in the leader's group, in a group of its own, and one of job control. They ignore
# what can be ignored.
CROWD = """\
set -m
trap '' INT TERM HUP
sleep 1000 & echo $! >>pids
timeout 1000 sleep 1001 & echo $! >>pids
bash -c 'echo $$ >>pids; sleep 1002; true' &
until [ $(wc -l <pids) = 3 ]; do :; done
"""


def pids(host: Host) -> list[int]:
    return [int(line) for line in Path(host.hello.folder, "pids").read_text().split()]


def assert_all_dead(host: Host) -> None:
    found = pids(host)
    assert found
    assert not [pid for pid in found if is_alive(pid)]


# By itself ------------------------------------------------------------------------------------------------


def test_what_is_left_of_its_session_is_killed_at_once(host: Host) -> None:
    run = host.run(CROWD + "exit 7")
    assert (run.exited.exit_code, run.exited.ended_by, run.exited.left_behind) == (7, "itself", 0)
    assert_all_dead(host)


def test_7_stays_7_while_orphans_arrive(host: Host) -> None:
    """A waitpid(-1) that takes the leader's status away would turn it into 0."""
    for _ in range(10):
        run = host.run("for i in 1 2 3 4 5 6 7 8; do (setsid true &) ; done; exit 7")
        assert run.exited.exit_code == 7


def test_a_daemon_that_left_the_session_is_spared_and_hangs_nothing(host: Host) -> None:
    """It holds the run's output and the pipe of the control file."""
    run = host.run(
        "mkfifo up; setsid bash -c 'echo $$ >pids; echo >up; exec sleep 1000' & read <up; exit 2"
    )
    assert run.exited.exit_code == 2
    (daemon,) = pids(host)
    assert is_alive(daemon)
    assert host.run("exit 3").exited.exit_code == 3  # and no later run
    os.kill(daemon, signal.SIGKILL)


def test_a_death_as_a_shutdown_brings_it_is_told_two_seconds_later(host: Host) -> None:
    run = host.start("kill -TERM $$")
    host.until(Started)
    begin = time.monotonic()
    assert host.wait(run).exited.signal == signal.SIGTERM
    assert time.monotonic() - begin > 1.5


def test_what_is_said_in_these_two_seconds_does_not_set_the_clock_again(host: Host) -> None:
    child = "read x <held; until grep -q ^State:.Z /proc/$$/status; do :; done; echo duration 0 >&3; echo said"
    run = host.run(f"mkfifo held; ({child}) & exec 9>held; kill -KILL $$", limit=50)
    assert (bytes(run.output), run.exited.signal) == (b"said\n", signal.SIGKILL)
    assert run.exited.ended_by == "itself"


# By its limit ----------------------------------------------------------------------------------------------


def test_at_the_limit_it_may_clean_up(host: Host) -> None:
    run = host.run("trap 'echo cleaning; exit 5' INT; while :; do sleep 0.01; done", limit=0.2)
    assert (bytes(run.output), run.exited.exit_code) == (b"cleaning\n", 5)
    assert (run.exited.ended_by, run.exited.limit) == ("limit", 0.2)
    assert 0.2 <= run.exited.seconds < 5


def test_after_the_grace_all_of_the_session_is_killed(host: Host) -> None:
    run = host.run(CROWD + "while :; do sleep 0.01; done", limit=0.3, grace=0.1)
    assert (run.exited.exit_code, run.exited.signal) == (None, signal.SIGKILL)
    assert run.exited.ended_by == "limit"
    assert run.exited.seconds >= 0.4
    assert_all_dead(host)


def test_every_process_of_the_session_gets_the_interrupt(host: Host) -> None:
    """timeout makes a group of its own, which a signal to the leader's group misses."""
    script = "trap 'echo leader' INT; timeout 1000 bash -c 'trap \"echo other\" INT; sleep 1000' & wait; wait"
    run = host.run(script, limit=0.3)
    assert sorted(run.output.split()) == [b"leader", b"other"]


def test_during_the_grace_results_are_taken_and_duration_changes_nothing(host: Host) -> None:
    script = """\
late() { echo duration 1h >&3; echo 'result {"name":"late"}' >&3; sleep 1000; }
trap late INT
while :; do sleep 0.01; done
"""
    run = host.run(script, limit=0.2, grace=0.2)
    assert run.results == [{"name": "late"}]
    assert (run.exited.ended_by, run.exited.limit) == ("limit", 0.2)
    assert run.exited.seconds < 5


def test_a_limit_beyond_what_poll_can_wait(host: Host) -> None:
    assert host.run("exit 4", limit=100 * 365 * 86400, grace=1e9).exited.exit_code == 4


# By a cancel -----------------------------------------------------------------------------------------------


def start(host: Host, script: str) -> int:
    """Start a run and wait until it says `up`."""
    run = host.start(script.replace("UP", "echo up"))
    host.wait_for_output(run, b"up\n")
    return run


def test_cancel_lets_it_clean_up(host: Host) -> None:
    run = start(host, "trap 'echo cleaning; exit 5' INT; UP; while :; do sleep 0.01; done")
    host.send(Cancel(run=run))
    record = host.wait(run)
    assert (bytes(record.output), record.exited.exit_code) == (b"up\ncleaning\n", 5)
    assert record.exited.ended_by == "cancel"


def test_cancel_without_grace_kills_at_once(host: Host) -> None:
    run = start(host, CROWD + "UP; while :; do sleep 0.01; done")
    host.send(Cancel(run=run, grace=0))
    assert host.wait(run).exited.signal == signal.SIGKILL
    assert_all_dead(host)


def test_a_second_cancel_makes_it_only_sooner(host: Host) -> None:
    run = start(host, "trap 'echo again' INT; UP; while :; do sleep 0.01; done")
    host.send(Cancel(run=run, grace=1000))
    host.wait_for_output(run, b"again\n")
    host.send(Cancel(run=run, grace=2000))
    host.send(Cancel(run=run, grace=0))
    record = host.wait(run)
    assert bytes(record.output) == b"up\nagain\n"  # one SIGINT
    assert (record.exited.signal, record.exited.ended_by) == (signal.SIGKILL, "cancel")


def test_cancel_during_the_grace_of_the_limit(host: Host) -> None:
    run = host.start(
        "trap 'echo time is up' INT; while :; do sleep 0.01; done", limit=0.1, grace=1000
    )
    host.wait_for_output(run, b"time is up\n")
    host.send(Cancel(run=run, grace=0))
    assert host.wait(run).exited.ended_by == "limit"  # the first reason


def test_cancel_of_a_run_that_is_over_does_nothing(host: Host) -> None:
    run = host.start("exit 1")
    host.wait(run)
    host.send(Cancel(run=run, grace=0))
    assert host.run("exit 2").exited.exit_code == 2


def test_a_stopped_test_can_be_cancelled(host: Host) -> None:
    run = start(host, "UP; kill -STOP $$")
    started = host.agent.runs[run].started
    assert started
    status = Path(f"/proc/{started.pid}/status")
    wait_until(lambda: "State:\tT" in status.read_text(), "the test's stop")
    host.send(Cancel(run=run, grace=0.05))
    assert host.wait(run).exited.signal == signal.SIGKILL


def test_a_result_whose_sender_was_killed_is_no_error_of_the_test(host: Host) -> None:
    script = (
        'echo \'result {"files":[{"name":"log","length":100}]}\' >&3; echo abc >&3; UP; sleep 1000'
    )
    run = start(host, script)
    host.send(Cancel(run=run, grace=0))
    record = host.wait(run)
    assert record.exited.error is None
    assert record.notes == ["a result was cut short by the end"]
    assert not record.files
    assert record.results == []


# By the agent's death --------------------------------------------------------------------------------------


def test_the_leader_dies_with_the_agent_and_the_rest_before_the_next_one_says_hello(
    agent: Agent,
) -> None:
    host = agent.attach()
    start(host, CROWD + "echo $$ >>pids; UP; while :; do sleep 0.01; done")
    found = pids(host)
    os.kill(host.hello.pid, signal.SIGKILL)
    with pytest.raises(Lost):
        host.until(Failed)
    host.drop()
    leader = found.pop()
    wait_until(lambda: not is_alive(leader), "the leader's death")
    assert [pid for pid in found if is_alive(pid)] == found
    again = agent.attach()
    assert again.hello.incarnation != host.hello.incarnation
    assert (again.hello.run, again.hello.order, again.hello.frame) == (None, 0, 1)
    assert again.hello.last_words == "the agent was killed"
    assert not [pid for pid in found if is_alive(pid)]
    agent.order = 0
    assert again.run("exit 3").exited.exit_code == 3


def test_a_test_that_kills_all_it_can(agent: Agent) -> None:
    """As `kill -9 -1` would, without the neighbours."""
    host = agent.attach()
    run = start(host, "mkfifo go; UP; read <go; kill -9 $PPID; sleep 1000")
    write_fifo(Path(host.hello.folder, "go"), b"on\n")
    with pytest.raises(Lost):
        host.wait(run)
    host.drop()
    agent.order = 0
    agent.runs.clear()
    again = agent.attach()
    assert again.hello.last_words == "the agent was killed"
    assert again.run("echo fine").output == b"fine\n"


def test_an_error_in_the_agent_itself_ends_the_test_and_is_told_to_the_next_host(
    agent: Agent,
) -> None:
    host = agent.attach()
    run = start(host, "echo $$ >pids; UP; while :; do sleep 0.01; done")
    # An order without what it must have, which no host of this version sends.
    host.write(pack(run + 1, {"kind": "cancel"}))
    with pytest.raises(Lost):
        host.wait(run)
    (leader,) = pids(host)
    wait_until(lambda: not is_alive(leader), "the leader's death")
    host.drop()
    agent.order = 0
    said = agent.attach().hello.last_words
    assert said.startswith("KeyError: 'run' (daemon.py:")


def test_sigterm_means_that_the_machine_goes_down(agent: Agent) -> None:
    host = agent.attach()
    run = start(host, "trap 'echo bye; exit 0' TERM; UP; while :; do sleep 0.01; done")
    os.kill(host.hello.pid, signal.SIGTERM)
    host.until(GoingDown)
    os.kill(agent.runs[run].started.pid, signal.SIGTERM)  # type: ignore[union-attr]
    with pytest.raises(Lost):
        host.wait(run)
    assert agent.runs[run].last is None  # its exit is no verdict


def test_who_attaches_while_the_machine_goes_down_is_told(agent: Agent) -> None:
    host = agent.attach()
    start(host, "UP; while :; do sleep 0.01; done")
    os.kill(host.hello.pid, signal.SIGTERM)
    host.until(GoingDown)
    host.drop()
    agent.attach().until(GoingDown)


def test_sigterm_without_a_run_ends_the_daemon(agent: Agent) -> None:
    host = agent.attach()
    os.kill(host.hello.pid, signal.SIGTERM)
    host.until(GoingDown)
    with pytest.raises(Lost):
        host.receive()
