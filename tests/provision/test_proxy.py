"""Connections by a ProxyCommand."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from atex_provision import CannotConnect, ConnectionLost, ConnectTimeout, Host, SshConnection

from tests.machines import Sshd
from tests.machines.login import ssh_to
from tests.provision.conftest import say
from tests.waits import PATIENCE, Background, eventually

# $$ is the one whose end we wait for.
FORWARD = "bash -c 'echo $$ >{pid}; exec 3<>/dev/tcp/%h/%p; cat <&3 & cat >&3'"
STUBBORN = "bash -c 'trap : HUP TERM; echo $$ >{pid}; exec 3<>/dev/tcp/%h/%p; cat <&3 & cat <&0 >&3; sleep 1000'"


def is_gone(pid: Path) -> bool:
    """Whether the process whose number is in this file has ended; nobody may have asked for its exit code yet."""
    try:
        stat = Path("/proc", pid.read_text().strip(), "stat").read_text()
    except FileNotFoundError:
        return pid.exists()
    return stat.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("command", [FORWARD, STUBBORN])
def test_it_lives_as_long_as_the_connection(
    sshd: Sshd, home: Path, tmp_path: Path, command: str
) -> None:
    say(home, f"ProxyCommand {command.format(pid=tmp_path / 'pid')}\n")
    before = threading.active_count()
    data = os.urandom(1_000_000)
    with ssh_to(sshd) as connection:
        assert connection.run("cat >file; cat file", stdin=data).stdout == data
        assert threading.active_count() == before + 1
        assert not is_gone(tmp_path / "pid")
    assert threading.active_count() == before
    eventually(lambda: is_gone(tmp_path / "pid"))


def test_a_jump_host_behind_a_command(sshd: Sshd, home: Path, tmp_path: Path) -> None:
    say(
        home,
        f"Host hop\n HostName {sshd.address}\n Port {sshd.port}\n User {sshd.user}\n"
        f" IdentityFile {sshd.identity}\n ProxyCommand {FORWARD.format(pid=tmp_path / 'pid')}\n",
    )
    with ssh_to(sshd, jump="hop") as connection:
        assert connection.run("echo through").stdout == b"through\n"
    eventually(lambda: is_gone(tmp_path / "pid"))


def test_it_ends_with_a_killed_process_of_ours(sshd: Sshd, home: Path, tmp_path: Path) -> None:
    say(home, f"ProxyCommand {STUBBORN.format(pid=tmp_path / 'pid')}\n")
    script = (
        "import sys; from atex_provision import Host, SshConnection; connection ="
        " SshConnection(Host(address=sys.argv[1], port=int(sys.argv[2]), identity=sys.argv[3]));"
        " connection.connect(); print('ready', flush=True); connection.run('sleep 1000')"
    )
    where = [sshd.address, str(sshd.port), str(sshd.identity)]
    with subprocess.Popen(
        [sys.executable, "-c", script, *where], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert not is_gone(tmp_path / "pid")
        process.kill()
    eventually(lambda: is_gone(tmp_path / "pid"))


def test_a_killed_command_is_a_lost_connection(sshd: Sshd, home: Path, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    say(
        home,
        f"ProxyCommand bash -c 'echo $$ >{pid}; exec 3<>/dev/tcp/%h/%p; cat <&3 & exec cat >&3'\n",
    )
    before = threading.active_count()
    with ssh_to(sshd) as connection:
        waiting = Background(lambda: connection.run("sleep 1000"))
        with pytest.raises(AssertionError):
            waiting.result(0.1)
        os.killpg(os.getpgid(int(pid.read_text())), signal.SIGKILL)
        with pytest.raises(ConnectionLost):
            waiting.result()
        eventually(lambda: threading.active_count() == before)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("sh -c 'echo no way today >&2; exit 1'", "'.*, which said: no way today: "),
        ("true", "by way of ProxyCommand 'true', which said nothing: "),
        ("there-is-no-such-command", "which said: .*not found: "),
        ("cat", "handshake failed by way of ProxyCommand 'cat'"),
    ],
)
def test_its_last_words_are_told(command: str, says: str, home: Path) -> None:
    say(home, f"ProxyCommand {command}\n")
    with pytest.raises(CannotConnect, match=says):
        SshConnection(Host(address="box")).connect()


def test_without_a_place_for_its_last_words_nothing_is_left(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space() -> None:
        raise OSError("no space left on device")

    say(home, "ProxyCommand true\n")
    monkeypatch.setattr("tempfile.TemporaryFile", no_space)
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(CannotConnect, match="cannot start a ProxyCommand: no space left") as caught:
        SshConnection(Host(address="box")).connect()
    assert set(os.listdir("/proc/self/fd")) == before
    assert caught.value.__cause__ is not None  # which holds what was made until here


def test_a_silent_command_times_out_and_is_ended(home: Path, tmp_path: Path) -> None:
    say(home, f"ProxyCommand sh -c 'echo $$ >{tmp_path / 'pid'}; echo wait >&2; sleep 1000'\n")
    with pytest.raises(ConnectTimeout, match=r"no answer to the ssh handshake in 3 s by way of"):
        SshConnection(Host(address="box"), timeout=3).connect()
    eventually(lambda: is_gone(tmp_path / "pid"))
    connection = SshConnection(Host(address="box"))
    connecting = Background(connection.connect)
    with pytest.raises(AssertionError):
        connecting.result(0.2)
    started = time.monotonic()
    connection.close()
    with pytest.raises(CannotConnect, match="closed while it was being made"):
        connecting.result()
    assert time.monotonic() - started < 20  # of thirty


def test_a_command_that_takes_nothing_any_more(
    sshd: Sshd, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("atex_provision.ssh.transport.SILENCE", 1.0)
    monkeypatch.setattr("atex_provision.ssh.transport.PROBE", 0.2)
    pid = tmp_path / "pid"
    say(home, f"ProxyCommand {FORWARD.format(pid=pid)}\n")
    with ssh_to(sshd) as connection, connection.open("cat") as channel:
        os.killpg(os.getpgid(int(pid.read_text())), signal.SIGSTOP)
        with pytest.raises(ConnectionLost):
            channel.receive(1, PATIENCE)
