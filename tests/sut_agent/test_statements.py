"""What a test says besides results, and what becomes of it: spec/CONTROL_FILE.md, with the real agent."""

import sys

import pytest
from atex_sut_agent.protocol import (
    Again,
    Clock,
    HangUp,
    Lengths,
    Marked,
    Restarting,
    Started,
    Sync,
    TestAdded,
)
from atex_sut_agent.protocol import Cut as Length

from tests.sut_agent.driver import Agent, Host, wait_until, write_fifo

# Connects, sends its argument, and shows each line that comes back, and then the end of file.
TALKER = """\
import os, socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(os.environ["ATEX_CONTROL_FILE"])
client.sendall(sys.argv[1].encode())
for line in client.makefile():
    print(line, end="", flush=True)
print("end of file", flush=True)
"""


@pytest.fixture
def talk(agent: Agent) -> str:
    """A shell command that says its argument through the socket and stays until that is closed."""
    path = agent.work / "talker.py"
    path.write_text(TALKER)
    return f"{sys.executable} -IS {path}"


def said(host: Host, run: int, kind: type) -> list[object]:
    return [message for message in host.agent.runs[run].said if isinstance(message, kind)]


# Sync ------------------------------------------------------------------------------------------------------


def test_sync_is_answered_when_what_came_before_is_acknowledged(host: Host, talk: str) -> None:
    host.acknowledging = False
    run = host.start(
        f"""{talk} $'result {{"name": "a"}}\\nsync one two\\nsync\\n' & echo up; wait"""
    )
    host.until(Sync)
    host.wait_for_output(run, b"up\n")
    record = host.agent.runs[run]
    assert record.results == [{"name": "a"}]
    assert b"ok" not in record.output
    host.acknowledging = True
    host.acknowledge()
    host.wait_for_output(run, b"ok one two\nok\n")
    host.end()


def test_sync_needs_an_answer_and_so_the_socket(host: Host) -> None:
    run = host.run("echo sync >&3; exit 3")
    assert run.exited.error == "'sync' needs the socket, the pipe can not reply"


# Marks, more tests, the end ----------------------------------------------------------------------------------


def test_marks_and_added_tests_are_told(host: Host) -> None:
    run = host.start("""printf 'mark a\\nmark b=c d\\naddtest /x A="1 2" B=\\n' >&3; exit 3""")
    assert host.wait(run).exited.error is None
    assert said(host, run, Marked) == [
        Marked(run=run, name="a", value=""),
        Marked(run=run, name="b", value="c d"),
    ]
    assert said(host, run, TestAdded) == [
        TestAdded(run=run, number=1, test="/x", environment={"A": "1 2", "B": ""})
    ]


def test_abort_ends_the_run_as_a_cancel_does(host: Host) -> None:
    run = host.run("trap 'echo cleaned; exit 4' INT; echo abort enough >&3; while :; do :; done")
    assert (run.exited.ended_by, run.exited.note) == ("abort", "enough")
    assert (bytes(run.output), run.exited.exit_code) == (b"cleaned\n", 4)


# Restart -----------------------------------------------------------------------------------------------------

# Says `open` until the pipe is shut, and then `shut`.
LOOK = "while echo noop >&3; do echo open; sleep 0.05; done 2>/dev/null; echo shut"


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


def test_a_run_goes_on_where_it_was(host: Host) -> None:
    """As the host orders it behind a restart: numbers, offsets, lengths and the clock."""
    head = '{"name": "part", "files": [{"name": "log", "length": 2}]}'
    script = f"""printf 'result {head}\\nab' >&3; echo duration save >&3; echo duration 30 >&3; echo one
echo restart >&3; {LOOK.replace("echo open; ", "")}; exec sleep 1000"""
    first = host.start(f"trap '' PIPE; trap 'exit 1' HUP; {script}")
    host.wait_for_output(first, b"shut\n")
    (announced,) = said(host, first, Restarting)
    assert isinstance(announced, Restarting)
    host.send(HangUp(run=first))
    before = host.wait(first)
    assert before.exited.ended_by == "restart"

    clock = Clock(used=announced.clock.used + 5, limit=30, saved=announced.clock.saved)
    host.send(Lengths(files=(Length(name="part", file="log", length=2),)))
    second = host.agent.order + 1
    record = host.agent.runs[second]
    record.output[:] = before.output
    record.results[:] = before.results
    record.files["part", "log"] = bytearray(b"ab")
    record.listed["part", "log"] = 2
    again = Again(clock=clock, results=len(before.results), output=len(before.output))
    assert (
        host.start(
            f"printf 'result {head}\\ncd' >&3; echo duration restore >&3; echo two", again=again
        )
        == second
    )
    host.wait(second)
    assert isinstance(record.started, Started)
    assert bytes(record.output) == b"one\nshut\ntwo\n"
    assert record.files == {("part", "log"): b"abcd"}
    assert record.exited.limit == pytest.approx(60, abs=20)
    assert record.exited.error is None
