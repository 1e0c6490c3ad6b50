"""The test machines themselves: what a test relies on when it cuts a link or looks for
leftovers.
"""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.machines import LightHost, LightHosts, Sshd, light_hosts_missing, sshd_missing

PATIENCE = 10.0  # seconds


def ssh(
    machine: Sshd | LightHost, *command: str, options: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """The box's own ssh, so that nothing of ATEX is needed to prove the machines."""
    return subprocess.run(
        [*ssh_command(machine, *options), *command],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def ssh_command(machine: Sshd | LightHost, *options: str) -> list[str]:
    known = [
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "LogLevel=ERROR",
    ]
    login = [
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        "IdentitiesOnly=yes",
        "-i",
        str(machine.identity),
    ]
    return [
        "ssh",
        *known,
        *login,
        *options,
        "-p",
        str(machine.port),
        f"{machine.user}@{machine.address}",
    ]


@contextmanager
def conversation(machine: Sshd | LightHost) -> Iterator[subprocess.Popen[bytes]]:
    """An open connection that repeats each line."""
    command = [*ssh_command(machine), "echo up; cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        try:
            assert hear(client) == b"up\n"
            yield client
        finally:
            client.kill()


def say(client: subprocess.Popen[bytes], line: bytes) -> None:
    assert client.stdin is not None
    client.stdin.write(line)
    client.stdin.flush()


def hear(client: subprocess.Popen[bytes]) -> bytes:
    assert client.stdout is not None
    return client.stdout.readline()


def await_that(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def exists(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_sshd_lets_its_user_in(sshd: Sshd) -> None:
    done = ssh(sshd, "id -un; echo $HOME")
    assert done.stdout.split() == [sshd.user, str(sshd.home)]
    assert done.returncode == 0, done.stderr


def test_sshd_rejects_and_accepts_logins(sshd: Sshd) -> None:
    sshd.reject_logins()
    assert "Permission denied" in ssh(sshd, "true").stderr
    sshd.accept_logins()
    assert ssh(sshd, "true").returncode == 0


def test_sshd_stops_and_comes_back_with_another_key(sshd: Sshd) -> None:
    before = sshd.host_key
    sshd.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((sshd.address, sshd.port), PATIENCE)
    sshd.start()
    assert sshd.host_key == before
    sshd.restart(new_host_key=True)
    assert sshd.host_key != before
    assert ssh(sshd, "true").returncode == 0


def test_sshd_kills_its_sessions_and_nothing_else(sshd: Sshd) -> None:
    daemon = int(ssh(sshd, "setsid sleep 1000 >/dev/null 2>&1 & echo $!").stdout)
    with conversation(sshd) as client:
        sshd.kill_sessions()
        assert client.wait(PATIENCE) == 255
    assert exists(daemon)
    assert ssh(sshd, "true").returncode == 0


def test_sshd_leaves_nothing() -> None:
    if reason := sshd_missing():
        pytest.skip(reason)
    with Sshd() as server:
        daemon = int(ssh(server, "setsid sleep 1000 >/dev/null 2>&1 & echo $!").stdout)
        assert exists(daemon)
    assert not exists(daemon)
    assert not server.folder.exists()


def test_nothing_is_left_when_the_start_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if reason := sshd_missing():
        pytest.skip(reason)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("tests.machines.sshd.await_ssh", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError), Sshd():
        pass
    assert list(tmp_path.iterdir()) == []
    if not light_hosts_missing():
        monkeypatch.setattr("tests.machines.light_host.await_ssh", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError), LightHosts(2):
            pass
        assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_killed_owner(tmp_path: Path) -> None:
    """Not even SIGKILL of the test process leaves a machine running."""
    if reason := light_hosts_missing():
        pytest.skip(reason)
    owner = textwrap.dedent("""\
        import time
        from tests.machines import LightHosts, Sshd
        with LightHosts(1) as (host,), Sshd() as server:
            print(host.init, server._keeper.first_process, f"atex{host._subnet}", flush=True)
            time.sleep(1000)
        """)
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", owner], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        init, listener, link = process.stdout.readline().decode().split()
        assert exists(int(init))
        process.send_signal(signal.SIGKILL)
    await_that(lambda: not exists(int(init)) and not exists(int(listener)))
    await_that(lambda: not Path("/sys/class/net", link).exists())
    await_that(lambda: not list(tmp_path.iterdir()))


def test_light_hosts_are_machines_of_their_own(
    light_hosts: Callable[[int], list[LightHost]],
) -> None:
    one, other = light_hosts(2)
    look = "hostname; cat /proc/sys/kernel/random/boot_id; ps -e | wc -l; touch /tmp/here; ls /tmp"
    said = [ssh(host, look).stdout.split() for host in (one, other)]
    names, boots, processes, files = zip(*said, strict=True)
    assert names == ("sut1", "sut2")
    assert boots == (one.boot_id, other.boot_id)
    assert boots[0] != boots[1]
    assert all(int(count) < 12 for count in processes)
    assert files == ("here", "here")
    assert not Path("/tmp/here").exists()


def test_a_light_host_reboots(light_host: LightHost) -> None:
    before = light_host.boot_id
    ssh(light_host, "touch /var/tmp/kept /run/lost")
    light_host.reboot()
    done = ssh(light_host, "cat /proc/sys/kernel/random/boot_id; ls -d /var/tmp/kept /run/lost")
    assert done.stdout.split() == [light_host.boot_id, "/var/tmp/kept"]
    assert light_host.boot_id != before


def test_a_light_host_reboots_from_inside(light_host: LightHost) -> None:
    before = light_host.boot_id
    assert ssh(light_host, "reboot").returncode == 255
    await_that(lambda: light_host.boot_id != before and ssh(light_host, "true").returncode == 0)


def test_a_light_host_crashes_without_a_word(light_host: LightHost) -> None:
    with conversation(light_host) as client:
        light_host.crash()
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(0.3)
        light_host.boot()
        assert client.wait(PATIENCE) == 255
    assert ssh(light_host, "true").returncode == 0


def test_a_cut_link_is_silent_and_heals(light_host: LightHost) -> None:
    with conversation(light_host) as client:
        light_host.cut()
        say(client, b"after all\n")
        with pytest.raises(TimeoutError):
            socket.create_connection((light_host.address, light_host.port), 0.3)
        light_host.heal()
        assert hear(client) == b"after all\n"


def test_a_light_host_loses_its_sessions(light_host: LightHost) -> None:
    ssh(light_host, "setsid sleep 1000 >/dev/null 2>&1 &")
    with conversation(light_host) as client:
        light_host.kill_sessions()
        assert client.wait(PATIENCE) == 255
    assert "sleep 1000" in ssh(light_host, "ps -e -o args").stdout
