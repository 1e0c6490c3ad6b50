"""Connections to containers: the suite, and what only they do."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from atex_provision import CannotConnect, Connection, ConnectionLost, PodmanConnection
from atex_provision.connection.podman import BEGAN
from atex_provision.podman import container
from atex_provision.podman.command import podman
from atex_provision.testing import ConnectionSuite

from tests.waits import PATIENCE, Background, eventually, still_waiting

BOOTED = {b"running\n", b"degraded\n"}  # its sshd has no host keys


@pytest.fixture(scope="module")
def running(podman_base: str) -> Iterator[str]:
    """A container for all tests, none of which ends it."""
    name = f"atex-test-{os.getpid()}-running"
    _bring_up(name, podman_base)
    yield name
    container.remove(name)


@pytest.fixture
def own(podman_image: str) -> Iterator[str]:
    """A container of the test's own."""
    name = f"atex-test-{os.getpid()}-own"
    _bring_up(name, podman_image)
    yield name
    container.remove(name)


def _bring_up(name: str, image: str, *, systemd: bool = False) -> None:
    settings = container.Settings(image=image, network="none", systemd=systemd)
    container.create(name, settings, lease="", seconds=1000).finish()
    container.start(name)


class TestPodman(ConnectionSuite):
    @pytest.fixture
    def new_connection(self, running: str) -> Callable[[], Connection]:
        return lambda: PodmanConnection(running)

    @pytest.fixture
    def lose(self, running: str) -> Callable[[], None]:
        # Who has just been started has no command line yet.
        return lambda: eventually(lambda: _kill_execs(running))


def _kill_execs(name: str) -> set[int]:
    """Kills the `podman exec` of all channels that have come so far; which processes these were."""
    killed = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes().split(b"\0")[1:4] == [b"exec", b"--interactive", name.encode()]:
                pid = int(path.parent.name)
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
    return killed


def _kill_all_execs(name: str, count: int) -> None:
    """Kills so many, each as soon as it is there."""
    killed: set[int] = set()

    def all_killed() -> bool:
        killed.update(_kill_execs(name))
        return len(killed) == count

    eventually(all_killed)


def test_commands_run_as_root_at_home(running: str) -> None:
    with PodmanConnection(running) as connection:
        assert connection.run("id -u; pwd; echo $HOME").stdout == b"0\n/root\n/root\n"
        assert connection.login == f"podman exec -it {running} /bin/sh"


@pytest.mark.parametrize("code", [125, 126, 127, 137, 255])
def test_exit_codes_that_podman_has_as_well(running: str, code: int) -> None:
    with PodmanConnection(running) as connection:
        done = connection.run(f"echo 'Error: no such container' >&2; exit {code}")
        assert (done.exit_code, done.stderr) == (code, b"Error: no such container\n")


def test_a_container_without_a_shell(podman_image: str) -> None:
    name = f"atex-test-{os.getpid()}-shellless"
    _bring_up(name, podman_image)
    try:
        podman("exec", name, "rm", "/bin/sh")
        lost = pytest.raises(ConnectionLost, match=r"did not run the command: .*/bin/sh")
        with PodmanConnection(name) as connection, lost:
            connection.run("true")
    finally:
        container.remove(name)


def test_a_command_that_reads_no_input_has_an_exit_code(running: str) -> None:
    with PodmanConnection(running) as connection:
        for _ in range(10):  # podman loses its words now and then
            ended = connection.run("echo said >&2; exit 3", stdin=b"unread" * 1000)
            assert ended.exit_code == 3
            assert ended.stderr in (b"", b"said\n")


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PodmanConnection]:
    """Connected to a container whose commands end with 137, while podman does not say why."""
    hangs = tmp_path / "hangs"
    program = tmp_path / "podman"
    program.write_text(
        "#!/bin/sh\n"
        f"case $1 in exec) echo '{BEGAN.decode().strip()}' >&2; exit 137 ;; esac\n"
        f"[ ! -e {hangs} ] || exec sleep 1000\n"
        'echo \'{"Status": "running", "StartedAt": "today"}\'\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with PodmanConnection("hanging") as connection:
        hangs.touch()
        yield connection


def test_a_look_at_the_container_has_the_callers_limit(hanging: PodmanConnection) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"not done after 0\.5 seconds: true"):
        hanging.run("true", timeout=0.5)
    assert time.monotonic() - started < PATIENCE


@pytest.mark.parametrize("closed", ["channel", "connection"])
def test_a_look_at_the_container_ends_with_the_channel(
    hanging: PodmanConnection, closed: str
) -> None:
    with hanging.open("true") as channel:
        waiting = Background(lambda: channel.wait(None))
        with still_waiting(waiting):
            (channel if closed == "channel" else hanging).close()
        with pytest.raises(ConnectionLost, match="hanging: the channel"):
            waiting.result()


def test_no_such_container() -> None:
    with pytest.raises(CannotConnect, match=r"^nowhere: there is no such container") as caught:
        PodmanConnection("nowhere").connect()
    assert caught.value.permanent


def test_who_stops_is_started_again_with_its_files(own: str) -> None:
    with PodmanConnection(own) as connection:
        first = connection.run("echo kept >/var/tmp/file; cut -d' ' -f22 /proc/1/stat").stdout
        with connection.open("echo up; sleep 1000") as channel:
            assert channel.receive(10, PATIENCE) == b"up\n"
            waiting = Background(lambda: channel.wait(None))
            with suppress(ConnectionLost):
                connection.run("kill 1")
            with pytest.raises(ConnectionLost, match="the container has stopped"):
                waiting.result()
        with pytest.raises(ConnectionLost, match="not connected"):
            connection.run("true")
        connection.connect()
        second = connection.run("cat /var/tmp/file; cut -d' ' -f22 /proc/1/stat").stdout
        assert second.startswith(b"kept\n")
        assert second != b"kept\n" + first


def test_who_learns_late_of_a_loss_does_not_break_what_was_connected_since(running: str) -> None:
    with PodmanConnection(running) as connection:
        channels = [connection.open("sleep 1000") for _ in range(2)]
        _kill_all_execs(running, len(channels))
        for channel in channels:
            with pytest.raises(ConnectionLost):
                channel.wait(PATIENCE)
            connection.connect()
        assert connection.run("echo here").stdout == b"here\n"
        with pytest.raises(ConnectionLost):
            channels[0].wait(PATIENCE)
        assert connection.run("echo still here").stdout == b"still here\n"


def test_an_ended_lease_starts_nothing(own: str) -> None:
    podman("stop", "--time=0", own)
    with pytest.raises(CannotConnect, match="lease has ended") as caught:
        PodmanConnection(own, ends=1.0).connect()
    assert caught.value.permanent


def test_a_connection_to_systemd_has_booted(podman_image: str) -> None:
    name = f"atex-test-{os.getpid()}-systemd"
    _bring_up(name, podman_image, systemd=True)
    try:
        with PodmanConnection(name, systemd=True) as connection:
            assert connection.run("systemctl is-system-running").stdout in BOOTED
            with suppress(ConnectionLost):
                connection.run("systemctl reboot")
            eventually(lambda: (now := container.state(name)) and now.status == "exited")
            with pytest.raises(ConnectionLost):
                connection.run("true")
            connection.connect()
            assert connection.run("systemctl is-system-running").stdout in BOOTED
    finally:
        container.remove(name)


def test_nobody_comes_in_while_systemd_waits_for_all_to_go(podman_image: str) -> None:
    name = f"atex-test-{os.getpid()}-stubborn"
    _bring_up(name, podman_image, systemd=True)
    first = Path("/proc", podman("inspect", "--format={{.State.Pid}}", name).strip(), "comm")
    stubborn = "trap '' TERM; echo trapped; while :; do sleep 0.1; done"
    try:
        with (
            PodmanConnection(name, systemd=True) as connection,
            connection.open(stubborn) as channel,
        ):
            assert channel.receive(100) == b"trapped\n"
            connection.run("systemctl reboot")
            eventually(lambda: first.read_text().startswith("systemd-shutdow"))
            with pytest.raises(ConnectionLost, match="going down"):
                connection.run("true")
            with pytest.raises(CannotConnect, match="going down"):
                connection.connect()
    finally:
        container.remove(name)
