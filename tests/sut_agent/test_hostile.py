"""Tests that do what no test should, to themselves and to the agent: each gets the verdict that its exit deserves.

What leaves its session is in test_descendants.py, what kills the agent in test_end_of_run.py.
"""

import os
import signal
from pathlib import Path

import pytest

from tests.sut_agent.driver import Host, is_alive

KILL_THE_SESSION = """\
import os, signal
mine = os.getsid(0)
for pid in sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True):
    try:
        if os.getsid(pid) == mine and pid != os.getpid():
            os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_closes_every_descriptor(host: Host) -> None:
    run = host.run("exec python3 -c 'import os; os.closerange(0, 65536); os._exit(5)'")
    assert (run.exited.exit_code, run.exited.ended_by, run.exited.error) == (5, "itself", None)


def test_it_closes_every_descriptor_and_stays(host: Host) -> None:
    run = host.run(
        "exec python3 -c 'import os, time; os.closerange(0, 65536); time.sleep(1000)'",
        limit=0.5,
        grace=0.5,
    )
    assert run.exited.ended_by == "limit"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGSEGV])
def test_it_kills_its_own_group(host: Host, number: int) -> None:
    run = host.run(f"sleep 1000 & setsid true; kill -{number} 0; sleep 1000")
    assert (run.exited.signal, run.exited.ended_by) == (number, "itself")
    assert host.run("exit 3").exited.exit_code == 3


def test_it_kills_its_own_session(host: Host) -> None:
    run = host.run(f"timeout 1000 sleep 1000 & python3 -c '{KILL_THE_SESSION}'; sleep 1000")
    assert (run.exited.signal, run.exited.ended_by) == (signal.SIGKILL, "itself")
    assert run.exited.left_behind == 0


def test_it_stops_itself(host: Host) -> None:
    run = host.run("kill -STOP $$", limit=0.3, grace=0.1)
    assert (run.exited.signal, run.exited.ended_by) == (signal.SIGKILL, "limit")


def test_it_leaves_with_all_it_has(host: Host) -> None:
    """The leader is gone and nothing is left of its session: that is an end by itself."""
    away = "echo $$ >pid; echo >up; exec sleep 1000 >/dev/null 2>&1 3>&-"
    run = host.run(f"mkfifo up; setsid bash -c '{away}' & read <up; exit 0")
    pid = int(Path(host.hello.folder, "pid").read_text())
    assert (run.exited.exit_code, run.exited.ended_by) == (0, "itself")
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_it_writes_at_disk_speed_until_its_time_is_up(host: Host) -> None:
    run = host.run("cat /dev/zero", limit=1, grace=1)
    if len(run.output) <= 10_000_000:  # the machine has much else to do
        run = host.run("cat /dev/zero", limit=20, grace=1)
    assert (run.exited.ended_by, run.exited.signal) == ("limit", signal.SIGINT)
    assert len(run.output) > 10_000_000
    assert not run.output.strip(b"\0")
    status = Path(f"/proc/{host.hello.pid}/status").read_text()
    (peak,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak < 32 * 1024  # KiB


def test_it_writes_garbage_wherever_it_can(host: Host, talk: str) -> None:
    size = 3_000_000
    run = host.run(
        f"""trap '' PIPE
        head -c {size} /dev/urandom >&3 2>/dev/null &
        {talk} "$(head -c 20000 /dev/urandom | tr -d '\\0')" >reply 2>/dev/null &
        head -c {size} /dev/urandom
        wait
        exit 5"""
    )
    assert (run.exited.exit_code, run.exited.ended_by) == (5, "itself")
    assert run.exited.error
    assert len(run.output) == size
    assert run.results == []
    assert host.run("exit 3").exited.error is None
