"""A reset is a command here: what it is told, what it says, and that it never outlives its purpose."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from atex_provision import Aborted, ProvisionError
from atex_provision.provisioner.reset import LINES, Reset

from tests.waits import Background, eventually

# Three processes of one group, and one of them says so when they are there.
FAMILY = 'sleep 1000 & (sleep 1000) & echo "$$ $!" >{pids}; wait'


def pids(file: Path) -> list[int]:
    """The processes that a FAMILY has named, once it has."""
    eventually(lambda: file.exists() and file.read_text().endswith("\n"))
    return [int(pid) for pid in file.read_text().split()]


def is_there(pid: int) -> bool:
    """Whether it runs. An orphan that has ended waits for init, which may take its time."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def test_a_reset_is_told_about_the_host(tmp_path: Path) -> None:
    said = tmp_path / "said"
    command = f"cd / && echo $ATEX_ADDRESS:$ATEX_PORT $HOME >{said}; cat >>{said}"
    Reset(command, {"ATEX_ADDRESS": "one.lab", "ATEX_PORT": "22"}).run(60)
    assert said.read_text() == f"one.lab:22 {os.environ['HOME']}\n"


def test_what_a_successful_reset_leaves_running_stays(tmp_path: Path) -> None:
    """A virtual machine, say."""
    file = tmp_path / "pid"
    Reset(f"sleep 1000 & echo $! >{file}", {}).run(60)
    [pid] = pids(file)
    assert is_there(pid)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_there(pid))


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("echo no such domain >&2; exit 3", "with exit code 3; it said: no such domain$"),
        ("exit 1", "with exit code 1; it said nothing$"),
        ("kill -9 $$", "with exit code 137"),
        ("no-such-command-anywhere", "with exit code 127; it said: .*not found"),
        ("seq 1000000; exit 1", "it said: 999996 / .* / 1000000$"),
        (r"printf '\033[2Jgone\n\n  two  \n'; exit 1", r"it said: \?\[2Jgone / two$"),
        ("exit 1 # \0", "cannot be started"),
    ],
)
def test_why_a_reset_failed(command: str, says: str) -> None:
    with pytest.raises(ProvisionError, match=says) as caught:
        Reset(command, {}).run(60)
    assert str(caught.value).count(" / ") < LINES


def test_a_reset_that_takes_too_long_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    with pytest.raises(ProvisionError, match=r"not done after 0.5 s; it said: begun"):
        Reset(f"echo begun; {FAMILY.format(pids=file)}", {}).run(0.5)
    eventually(lambda: not any(is_there(pid) for pid in pids(file)))


def test_a_reset_that_cannot_be_watched_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pids"
    family: list[int] = []

    def fail(pid: int) -> int:
        family.extend(pids(file))
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pidfd_open", fail)
    with pytest.raises(ProvisionError, match=r"cannot be watched.*Too many open files"):
        Reset(FAMILY.format(pids=file), {}).run(60)
    assert len(family) == 2
    eventually(lambda: not any(is_there(pid) for pid in family))


def test_a_reset_can_be_cancelled_at_any_time(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    reset = Reset(FAMILY.format(pids=file), {})
    running = Background(lambda: reset.run(1000))
    family = pids(file)
    threads = [threading.Thread(target=reset.cancel) for _ in range(4)]
    for thread in threads:
        thread.start()
    with pytest.raises(Aborted):
        running.result(5)
    for thread in threads:
        thread.join()
    reset.cancel()
    eventually(lambda: not any(is_there(pid) for pid in family))


def test_a_reset_that_was_cancelled_does_not_begin(tmp_path: Path) -> None:
    reset = Reset(f"touch {tmp_path}/begun", {})
    reset.cancel()
    with pytest.raises(Aborted):
        reset.run(60)
    assert not (tmp_path / "begun").exists()


def test_a_reset_dies_with_the_process_that_runs_it(tmp_path: Path) -> None:
    """A second one of the next process would meet it on the same host."""
    file = tmp_path / "pids"
    program = (
        "import sys; from atex_provision.provisioner.reset import Reset;"
        "Reset(sys.argv[1], {}).run(1000)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, FAMILY.format(pids=file)])
    try:
        family = pids(file)
        assert all(is_there(pid) for pid in family)
    finally:
        process.kill()
        process.wait()
    eventually(lambda: not any(is_there(pid) for pid in family))
