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

from tests.machines import (
    LightHost,
    LightHosts,
    Machine,
    NspawnHost,
    NspawnHosts,
    Sshd,
    light_hosts_missing,
    nspawn_missing,
    sshd_missing,
)

PATIENCE = 60.0  # seconds


def ssh(
    machine: Sshd | Machine, *command: str, options: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """The box's own ssh, so that nothing of ATEX is needed to prove the machines."""
    return subprocess.run(
        [*ssh_command(machine, *options), *command],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def ssh_command(machine: Sshd | Machine, *options: str) -> list[str]:
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
def conversation(machine: Sshd | Machine) -> Iterator[subprocess.Popen[bytes]]:
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
        monkeypatch.setattr("tests.machines.machine.await_ssh", lambda *_: 1 / 0)
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
            print(host.init, server._keeper.first_process, host.link.name, flush=True)
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


@pytest.fixture(params=["light_host", "nspawn_host"])
def machine(request: pytest.FixtureRequest) -> Machine:
    """A running machine of each kind that can reboot."""
    made: Machine = request.getfixturevalue(request.param)
    return made


def test_a_machine_reboots(machine: Machine) -> None:
    before = machine.boot_id
    ssh(machine, "touch /root/kept /var/lib/kept /run/lost")
    machine.reboot()
    look = "cat /proc/sys/kernel/random/boot_id; ls -d /root/kept /var/lib/kept /run/lost"
    assert ssh(machine, look).stdout.split() == [machine.boot_id, "/root/kept", "/var/lib/kept"]
    assert machine.boot_id != before


def test_a_machine_reboots_from_inside(machine: Machine) -> None:
    before = machine.boot_id
    ssh(machine, "reboot")
    await_that(lambda: machine.boot_id not in (before, "") and ssh(machine, "true").returncode == 0)


def test_a_machine_crashes_without_a_word(machine: Machine) -> None:
    with conversation(machine) as client:
        machine.crash()
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(0.3)
        machine.boot()
        assert client.wait(PATIENCE) == 255
    assert ssh(machine, "true").returncode == 0


def test_a_cut_link_is_silent_and_heals(machine: Machine) -> None:
    with conversation(machine) as client:
        machine.cut()
        say(client, b"after all\n")
        with pytest.raises(TimeoutError):
            socket.create_connection((machine.address, machine.port), 0.3)
        machine.heal()
        assert hear(client) == b"after all\n"


def test_a_machine_loses_its_sessions(machine: Machine) -> None:
    ssh(machine, "setsid sleep 1000 >/dev/null 2>&1 &")
    with conversation(machine) as client:
        machine.kill_sessions()
        assert client.wait(PATIENCE) == 255
    assert "sleep 1000" in ssh(machine, "ps -e -o args").stdout


def test_an_nspawn_machine_runs_systemd(nspawn_host: NspawnHost) -> None:
    look = "systemctl is-system-running --wait; hostname; id -un; ps -p 1 -o comm="
    assert ssh(nspawn_host, look).stdout.split() == ["running", "sut1", "root", "systemd"]
    ssh(nspawn_host, "echo kept >/etc/kept")
    assert (nspawn_host.disk / "etc/kept").read_text() == "kept\n"


def test_nspawn_machines_do_not_share_services(
    nspawn_hosts: Callable[[int], list[NspawnHost]],
) -> None:
    one, other = nspawn_hosts(2)
    for host in (one, other):
        assert ssh(host, "systemd-run --unit=same sleep 1000").returncode == 0
    ssh(one, "systemctl stop same")
    state = "systemctl is-active same"
    assert [ssh(host, state).stdout.strip() for host in (one, other)] == ["inactive", "active"]
    assert one.boot_id != other.boot_id


def test_nothing_is_left_of_an_nspawn_machine() -> None:
    if reason := nspawn_missing():
        pytest.skip(reason)
    with NspawnHosts(1) as (host,):
        groups = [Path(line) for line in (host.folder / "cgroups").read_text().splitlines()]
        init = host.init
        assert groups
        assert all(group.is_dir() for group in groups)
    assert not exists(init)
    assert not host.folder.exists()
    assert not any(group.exists() for group in groups)
