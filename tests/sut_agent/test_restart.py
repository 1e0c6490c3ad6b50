"""A test that takes its machine down: `restart`, what follows, and how the run goes on."""

import signal
from pathlib import Path

import pytest
from atex_sut_agent.protocol import Again, Clock, Cut, HangUp, Lengths, Restarting, TestAdded

from tests.sut_agent.driver import Agent, Host, is_alive, wait_until, write_fifo
from tests.sut_agent.record import RunRecord

# Says `open` until the pipe is shut, and then `shut`.
LOOK = "while echo noop >&3; do echo open; sleep 0.05; done 2>/dev/null; echo shut"
GO_DOWN = f"trap '' PIPE; echo restart >&3; {LOOK}"


def announce(host: Host, script: str) -> tuple[int, Restarting]:
    """Start a run that announces a restart; return its number and what it announced, once its doors are shut."""
    run = host.start(script.replace("GO_DOWN", GO_DOWN))
    restarting = host.until(Restarting)
    assert isinstance(restarting, Restarting)
    host.wait_for_output(run, b"shut\n")
    return run, restarting


def start_again(host: Host, script: str, before: RunRecord, clock: Clock) -> int:
    """Start a run that goes on with what `before` has; return its number."""
    files = tuple(
        Cut(name=name, file=file, length=length) for (name, file), length in before.listed.items()
    )
    half = len(files) // 2
    host.send(Lengths(files=files[:half]))
    host.send(Lengths(files=files[half:]))
    added = sum(isinstance(message, TestAdded) for message in before.said)
    before.last = None
    host.agent.runs[host.agent.order + 1] = before
    again = Again(clock=clock, results=len(before.results), output=len(before.output), added=added)
    return host.start(script, again=again)


# restart ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["restart", "restart 90", "disconnect"])
def test_doors_are_shut_when_the_restart_is_noted_on_the_host(host: Host, word: str) -> None:
    run = host.start(f"trap '' PIPE; echo {word} >&3; {LOOK}; exit 6")
    host.acknowledging = False
    announced = host.until(Restarting)
    assert isinstance(announced, Restarting)
    assert announced.patience == (90 if "90" in word else None)
    assert announced.clock.limit == 60
    assert 0 <= announced.clock.used < 20
    host.wait_for_output(run, b"open\nopen\nopen\n")
    host.acknowledging = True
    host.acknowledge()
    record = host.wait(run)
    assert record.output.endswith(b"open\nshut\n")
    assert (record.exited.exit_code, record.exited.ended_by) == (6, "itself")
    assert record.exited.error is None


def test_clients_see_the_end_and_what_is_half_sent_is_dropped(
    host: Host, agent: Agent, talk: str
) -> None:
    half = '{"name": "half", "files": [{"name": "log", "length": 100}]}'
    text = f'result {{"name": "whole"}}\\nresult {half}\\nabc'
    run = host.start(f"mkfifo go; {talk} $'{text}' & read x <go; echo restart >&3; wait; exit 6")
    record = agent.runs[run]
    host.until(lambda: ("half", "log") in record.files)
    write_fifo(agent.folder / "go", b"on\n")
    host.wait(run)
    assert (bytes(record.output), record.exited.exit_code) == (b"end of file\n", 6)
    assert (record.results, record.files) == ([{"name": "whole"}], {})
    assert (record.exited.error, record.notes) == (None, ["a result was cut short by the end"])


def test_without_a_host_the_doors_stay_open(agent: Agent) -> None:
    host = agent.attach()
    run = host.start(
        f"mkfifo go; echo up; read x <go; trap '' PIPE; echo restart >&3; ({LOOK}) | tee seen"
    )
    host.wait_for_output(run, b"up\n")
    host.drop()
    write_fifo(agent.folder / "go", b"on\n")
    seen = agent.folder / "seen"
    wait_until(lambda: seen.exists() and seen.read_text().count("open") > 5, "a door that is open")
    again = agent.attach()
    record = again.wait(run)
    assert record.output.endswith(b"shut\n")


def test_a_second_restart_adds_nothing(host: Host) -> None:
    host.acknowledging = False
    run = host.start("echo restart 1 >&3; echo disconnect >&3; echo restart 2 >&3; exit 3")
    record = host.wait(run)
    assert [message.patience for message in record.said if isinstance(message, Restarting)] == [1]
    assert record.exited.exit_code == 3


def test_restart_in_the_last_words(host: Host) -> None:
    record = host.run("echo restart >&3; exit 3")
    assert isinstance(record.said[0], Restarting)
    assert record.exited.exit_code == 3


def test_a_run_that_announced_a_restart_still_has_its_limit(host: Host) -> None:
    run = host.run("echo restart >&3; sleep 1000", limit=0.5)
    assert run.exited.ended_by == "limit"


# The machine is still there --------------------------------------------------------------------------------


def test_hang_up_ends_the_session(host: Host) -> None:
    run, _ = announce(
        host,
        "timeout 1000 sleep 1000 & echo $! >pid; trap 'echo hup; exit 4' HUP; GO_DOWN;"
        " while :; do sleep 0.01; done",
    )
    host.send(HangUp(run=run))
    record = host.wait(run)
    assert record.output.endswith(b"hup\n")
    assert (record.exited.ended_by, record.exited.exit_code) == ("restart", 4)
    assert not is_alive(int(Path(host.hello.folder, "pid").read_text()))


def test_who_ignores_the_hang_up_is_killed(host: Host) -> None:
    run, _ = announce(host, "trap '' HUP; GO_DOWN; while :; do sleep 0.01; done")
    host.send(HangUp(run=run, grace=0.1))
    exited = host.wait(run).exited
    assert (exited.ended_by, exited.signal) == ("restart", signal.SIGKILL)


def test_hang_up_of_a_run_that_is_over_does_nothing(host: Host) -> None:
    run, _ = announce(host, "GO_DOWN; exit 3")
    assert host.wait(run).exited.ended_by == "itself"
    host.send(HangUp(run=run))
    assert host.run("exit 4").exited.exit_code == 4


# Again -----------------------------------------------------------------------------------------------------

SAY_MORE = """\
echo "output $1"
echo 'result {"name":"a","files":[{"name":"f","length":3}]}' >&3; printf abc >&3
echo 'result {"name":"b","files":[{"name":"g","length":0}]}' >&3
echo addtest /more >&3
"""


def test_a_run_goes_on_where_it_was(host: Host) -> None:
    run, restarting = announce(host, SAY_MORE + "echo duration save >&3; GO_DOWN; exit 3")
    ((used, limit),) = restarting.clock.saved
    assert 0 <= used <= restarting.clock.used < 20
    assert limit == 60
    before = host.wait(run)
    again = host.wait(start_again(host, SAY_MORE + "exit 4", before, restarting.clock))
    assert again.exited.exit_code == 4
    assert [result["name"] for result in again.results] == ["a", "b", "a", "b"]
    assert again.files == {("a", "f"): b"abcabc", ("b", "g"): b""}
    assert again.output.count(b"output") == 2
    numbers = [message.number for message in again.said if isinstance(message, TestAdded)]
    assert numbers == [1, 2]


def test_the_clock_goes_on(host: Host) -> None:
    clock = Clock(used=1000, limit=1001, saved=((900, 5000),))
    run = start_again(host, "sleep 1000", RunRecord(), clock)
    exited = host.wait(run).exited
    assert (exited.ended_by, exited.limit) == ("limit", 1001)
    assert exited.seconds < 10
    run = start_again(host, "echo duration restore >&3; exit 3", RunRecord(), clock)
    exited = host.wait(run).exited
    assert (exited.ended_by, exited.exit_code, exited.limit) == ("itself", 3, 5000)


def test_time_that_ran_out_meanwhile_ends_it(host: Host) -> None:
    run = start_again(host, "sleep 1000", RunRecord(), Clock(used=70, limit=60))
    assert host.wait(run).exited.ended_by == "limit"


def test_lengths_are_those_of_one_start(host: Host) -> None:
    host.send(Lengths(files=(Cut(name="a", file="f", length=3),)))
    host.run("true", folder="/no/such/folder")
    assert host.run(SAY_MORE).files["a", "f"] == b"abc"
