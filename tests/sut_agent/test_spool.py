"""Nobody takes what a test produces: it goes on as long as there is room, then it waits, and its clock with it."""

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from atex_sut_agent.protocol import Cancel

from tests.sut_agent.driver import Agent, is_alive, wait_until
from tests.sut_agent.record import RunRecord

MIB = 1024 * 1024

# Output, results and files at once, as fast as it goes; SIZE bytes of output at least. Ends with 3.
FLOOD = """\
echo $$ >pid
{ while :; do head -c 1000000 /dev/zero; echo; done; } | head -c SIZE | tr '\\0' x &
for i in $(seq 20000); do echo "result {\\"i\\":$i}"; done >&3
{ echo 'result {"name":"one","files":[{"name":"f","length":3000000}]}'; head -c 3000000 /dev/zero; } >&3
wait %1
exit 3
"""


def flood(size: int) -> str:
    return FLOOD.replace("SIZE", str(size))


def assert_all_came(record: RunRecord, size: int) -> None:
    line = b"x" * 1_000_000 + b"\n"
    expected = (line * (size // len(line) + 1))[:size]
    assert hashlib.sha256(record.output).digest() == hashlib.sha256(expected).digest()
    assert [value["i"] for value in record.results[:-1]] == list(range(1, 20001))
    assert {key: len(data) for key, data in record.files.items()} == {("one", "f"): 3_000_000}
    assert not any(record.files["one", "f"])
    assert record.exited.exit_code == 3


def leader(agent: Agent) -> int:
    path = agent.folder / "pid"
    wait_until(lambda: path.exists() and path.read_text().strip(), "the test's begin")
    return int(path.read_text())


def spooled(agent: Agent) -> int:
    """How many bytes the daemon's spool has."""
    for link in Path(f"/proc/{agent.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it may close what it had open
            if "/spool." in os.readlink(link):
                return link.stat().st_size
    return 0


def resident(agent: Agent) -> int:
    """The most memory that the daemon ever had, in bytes."""
    status = Path(f"/proc/{agent.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def start_and_leave(agent: Agent, script: str, **options: object) -> int:
    host = agent.attach()
    run = host.start(script, **options)  # type: ignore[arg-type]
    host.drop()
    return run


def test_a_test_ends_while_its_host_is_away_and_all_of_it_comes_later(agent: Agent) -> None:
    size = 60 * MIB
    run = start_and_leave(agent, flood(size))
    wait_until(lambda: not is_alive(leader(agent)), "the test's end")
    assert spooled(agent) > size - 8 * MIB
    host = agent.attach()
    half = agent.runs[run]
    host.until(lambda: len(half.output) > size // 2)
    host.kill_bridge()  # in the middle of it
    host = agent.attach()
    assert_all_came(host.wait(run), size)
    assert half.notes == []  # it never had to wait
    assert spooled(agent) == 0
    assert host.run("exit 4").exited.exit_code == 4
    assert resident(agent) < 25 * MIB


def test_where_the_spool_is_full_it_waits_and_its_clock_stands_still(agent: Agent) -> None:
    size = 12 * MIB
    host = agent.attach(memory=MIB, spool=2 * MIB)
    begin = time.monotonic()
    run = host.start(flood(size), limit=8)
    host.drop()
    pid = leader(agent)
    wait_until(lambda: spooled(agent) >= 2 * MIB, "the spool is full")
    wait_until(lambda: time.monotonic() > begin + 9, "its time would be up")
    assert is_alive(pid)
    assert spooled(agent) < 2 * MIB + 300_000
    record = agent.attach().wait(run)
    assert_all_came(record, size)
    assert record.exited.ended_by == "itself"
    words = r"for ([\d.]+) s no host took anything: the test had to wait, and its clock stood still"
    first, *more = (re.fullmatch(words, note) for note in record.notes)
    assert first
    assert float(first[1]) > 0.5
    assert all(more)  # of a host that could not keep up when it was back
    assert resident(agent) < 25 * MIB


def test_who_waits_ends_at_a_cancel(agent: Agent) -> None:
    host = agent.attach(memory=MIB, spool=0)
    run = host.start("echo $$ >pid; trap '' INT; exec yes")
    host.drop()
    pid = leader(agent)
    wait_until(lambda: sleeps(pid), "its wait")
    host = agent.attach()
    host.send(Cancel(run=run, grace=0))
    assert host.wait(run).exited.ended_by == "cancel"


def sleeps(pid: int) -> bool:
    """Does it wait for something, and has not been at work since a moment ago?"""
    state, *times = activity(pid)
    time.sleep(0.1)
    return [state, *times] == activity(pid) and state == "S"


def activity(pid: int) -> list[str]:
    """State letter, user time, system time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [fields[0], *fields[11:13]]


def test_a_host_that_reads_nothing_costs_the_test_a_second(agent: Agent) -> None:
    size = 30 * MIB
    host = agent.attach()
    run = host.start(flood(size))
    wait_until(lambda: not is_alive(leader(agent)), "the test's end")
    assert spooled(agent) > size - 12 * MIB
    assert_all_came(host.wait(run), size)
    assert resident(agent) < 25 * MIB


def test_nothing_is_spooled_while_a_host_takes_what_it_gets(agent: Agent) -> None:
    """Slow as it may be: the test waits, at its own expense."""
    host = agent.attach()
    host.applying = False
    run = host.start("echo $$ >pid; exec yes", limit=3)
    pid = leader(agent)
    while is_alive(pid):
        host.receive()
        assert not spooled(agent)
    host.drop()
    record = agent.attach().wait(run)
    assert record.exited.ended_by == "limit"
    assert record.notes == []
    assert resident(agent) < 25 * MIB


def test_a_disk_without_room_is_a_full_spool(agent_python: str) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    with Agent(agent_python) as outer:
        disk = outer.work / "disk"
        disk.mkdir()
        options = "size=3m,mode=700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)
        try:
            with Agent(agent_python, work=disk, settings=outer.settings) as agent:
                size = 12 * MIB
                run = start_and_leave(agent, flood(size))
                wait_until(lambda: spooled(agent) > 2 * MIB and sleeps(leader(agent)), "its wait")
                record = agent.attach().wait(run)
                assert_all_came(record, size)
                assert len(record.notes) == 1
        finally:
            subprocess.run(["umount", disk], check=True)


def test_a_later_daemon_knows_nothing_of_the_spool(agent: Agent) -> None:
    start_and_leave(agent, flood(20 * MIB))
    wait_until(lambda: spooled(agent) > MIB, "the spool")
    os.kill(agent.pid, signal.SIGKILL)
    pid = agent.pid
    wait_until(lambda: not is_alive(pid), "its death")
    agent.order = 0
    host = agent.attach()
    assert (host.hello.frame, host.hello.run) == (1, None)
    assert not list(agent.folder.glob("spool*"))
    agent.runs.clear()
    assert host.run("exit 3").exited.exit_code == 3


def test_many_small_frames_take_no_more_memory_than_few_large_ones(agent: Agent) -> None:
    """A frame for each line, all of them shorter than what Python needs to keep them."""
    script = """\
echo $$ >pid
for i in $(seq 15000); do
    echo "result {\\"i\\":$i,\\"files\\":[{\\"name\\":\\"f\\",\\"length\\":1}]}"
    echo -n x
done >&3
exit 3
"""
    run = start_and_leave(agent, script)
    wait_until(lambda: spooled(agent), "the spool")
    assert resident(agent) < 25 * MIB
    record = agent.attach().wait(run)
    assert [value["i"] for value in record.results] == list(range(1, 15001))
    assert record.files == {("", "f"): b"x" * 15000}
    assert resident(agent) < 25 * MIB
