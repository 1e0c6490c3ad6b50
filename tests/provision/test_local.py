"""What only the local connection does."""

import os
import signal
import time
from pathlib import Path

from atex_provision import LocalConnection

from tests.waits import PATIENCE


def test_a_command_starts_at_home_in_a_session_of_its_own(home: Path) -> None:
    with LocalConnection() as connection:
        said = connection.run("pwd; echo $$; cut -d' ' -f6 /proc/$$/stat").stdout.decode().split()
    assert said[0] == str(home)
    assert said[1] == said[2] != str(os.getsid(0))


def test_close_kills_and_reaps_what_runs() -> None:
    with LocalConnection() as connection:
        channel = connection.open("sleep 1000 & echo $$ $!; wait")
        pids = [int(pid) for pid in channel.receive(100, PATIENCE).split()]
        channel.close()
        assert not Path(f"/proc/{pids[0]}").exists()  # not even as a zombie
        end = time.monotonic() + PATIENCE
        while _is_running(pids[1]):  # it was killed, too, but is not ours to reap
            assert time.monotonic() < end
            time.sleep(0.001)


def test_close_leaves_an_ended_command_alone() -> None:
    """Its pid may be somebody else's by then; the children it left behind are no more ours."""
    with LocalConnection() as connection:
        channel = connection.open("sleep 1000 >/dev/null 2>&1 & echo $!")
        child = int(channel.receive(100, PATIENCE))
        assert channel.wait(PATIENCE) == 0
        channel.close()
        assert _is_running(child)
        os.kill(child, signal.SIGKILL)


def test_no_descriptor_is_left() -> None:
    with LocalConnection() as connection:
        connection.run("true")
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            connection.run("cat; echo x >&2", stdin=b"x")
        assert len(os.listdir("/proc/self/fd")) == before


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
