"""SshConnection against a real sshd: what it asks of the user's files, and what it says when it
fails.
"""

import re
import shlex
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest
from atex_provision import (
    BadConfiguration,
    CannotConnect,
    ConnectionLost,
    ConnectionRefused,
    ConnectTimeout,
    Host,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRejected,
    SshConnection,
    UnknownHost,
)

from tests.machines import LightHost, Sshd, sshd_missing
from tests.machines.login import host_of, ssh_to
from tests.provision.conftest import Connect, say
from tests.waits import PATIENCE, Background


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def where(server: Sshd | LightHost) -> str:
    return f"{server.address}:{server.port}"


# Who may log in


def test_the_config_names_everything(sshd: Sshd, home: Path) -> None:
    say(
        home,
        f"Host box\n HostName {sshd.address}\n Port {sshd.port}\n User {sshd.user}\n"
        f" IdentityFile {sshd.identity}\nHost *\n Port 1\n ProxyCommand none\n",
    )
    with SshConnection(Host(address="box")) as connection:
        assert connection.name == "box"
        assert connection.run("id -un").stdout.decode().strip() == sshd.user


def test_a_default_key_is_found(sshd: Sshd, home: Path) -> None:
    (home / ".ssh").mkdir()
    sshd.identity.rename(home / ".ssh/id_ed25519")
    with SshConnection(Host(address=sshd.address, port=sshd.port)) as connection:
        assert connection.run("true").exit_code == 0


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A running ssh agent without keys."""
    path = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        yield
        process.terminate()


@pytest.mark.needs("ssh-agent", "ssh-add")
@pytest.mark.usefixtures("agent")
def test_the_agent_is_asked(sshd: Sshd) -> None:
    subprocess.run(["ssh-add", "-q", sshd.identity], check=True)
    with SshConnection(Host(address=sshd.address, port=sshd.port)) as connection:
        assert connection.run("true").exit_code == 0


@pytest.mark.needs("ssh-agent", "ssh-add")
@pytest.mark.usefixtures("agent")
def test_the_agent_opens_an_encrypted_key(sshd: Sshd) -> None:
    subprocess.run(["ssh-add", "-q", sshd.identity], check=True)
    encrypt = ["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(sshd.identity)]
    subprocess.run(encrypt, check=True, capture_output=True)
    with ssh_to(sshd) as connection:
        assert connection.run("true").exit_code == 0
    subprocess.run(["ssh-add", "-q", "-D"], check=True)
    with pytest.raises(BadConfiguration, match=r"identity \(encrypted; let ssh-add"):
        ssh_to(sshd).connect()


@pytest.fixture
def hung_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket of an ssh agent that does nothing."""
    path = tmp_path / "agent"
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    monkeypatch.setattr("atex_provision.ssh.agent.ANSWER_TIME", 1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen(0)
        yield server


@pytest.mark.parametrize("busy", [False, True])
def test_an_agent_that_hangs_is_done_without(
    sshd: Sshd, home: Path, hung_agent: socket.socket, busy: bool
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as first:
        if busy:  # its queue is full
            first.connect(hung_agent.getsockname())
        host = Host(address=sshd.address, port=sshd.port)
        with pytest.raises(LoginRejected, match=r"the ssh agent \(no answer in 1 s\)"):
            SshConnection(host).connect()
        if not busy:
            hung_agent.accept()[0].close()
        say(home, f"IdentityFile {sshd.identity}\n")
        with SshConnection(host) as connection:
            assert connection.run("true").exit_code == 0


def test_an_agent_that_never_signs(sshd: Sshd, hung_agent: socket.socket) -> None:
    def list_a_key() -> socket.socket:
        peer, _ = hung_agent.accept()
        peer.recv(100)
        blob = paramiko.ECDSAKey.generate().asbytes()
        answer = struct.pack(f">BII{len(blob)}sI", 12, 1, len(blob), blob, 0)
        peer.sendall(struct.pack(">I", len(answer)) + answer)
        return peer

    agent = Background(list_a_key)
    started = time.monotonic()
    with pytest.raises(ConnectTimeout, match="no answer to the login"):
        SshConnection(Host(address=sshd.address, port=sshd.port), timeout=2.0).connect()
    assert time.monotonic() - started < PATIENCE
    agent.result().close()


@pytest.mark.needs("ssh-agent", "ssh-add")
@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_each_kind_of_key(kind: str, sshd: Sshd, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", key], check=True)
    (sshd.folder / "authorized_keys").write_text((tmp_path / "key.pub").read_text())
    with ssh_to(sshd, identity=str(key)) as connection:
        assert connection.run("true").exit_code == 0
    subprocess.run(["ssh-add", "-q", key], check=True)
    encrypt = ["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(key)]
    subprocess.run(encrypt, check=True, capture_output=True)
    with ssh_to(sshd, identity=str(key)) as connection:
        assert connection.run("true").exit_code == 0


def test_a_rejected_login_names_what_was_tried(sshd: Sshd, home: Path) -> None:
    sshd.reject_logins()
    with pytest.raises(LoginRejected) as caught:
        ssh_to(sshd).connect()
    message = str(caught.value)
    assert (
        f"{where(sshd)}: rejected the login of user {sshd.user}; tried: {sshd.identity}." in message
    )
    assert "authorized_keys" in message
    assert not caught.value.permanent
    say(home, "IdentityFile ~/nowhere\n")
    with pytest.raises(
        LoginRejected, match=r"tried: no key; could not try: .*nowhere \(there is no"
    ):
        SshConnection(Host(address=sshd.address, port=sshd.port)).connect()


def test_too_many_keys_are_a_rejected_login(sshd: Sshd, home: Path, tmp_path: Path) -> None:
    sshd.reject_logins()
    keys = [tmp_path / f"key{n}" for n in range(8)]
    for key in keys:
        subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", key], check=True)
    say(home, "".join(f"IdentityFile {key}\n" for key in keys))
    with pytest.raises(LoginRejected, match=f"tried: {keys[0]}, {keys[1]}"):
        SshConnection(Host(address=sshd.address, port=sshd.port)).connect()


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("ProxyJump a,,b\n", r"config, line 1: proxyjump 'a,,b' cannot be followed"),
        ("ProxyJump me\n", "more than 8 jump hosts in a row"),
        ("\nProxyCommand nc %x\n", r"config, line 2: proxycommand 'nc %x' has a %x"),
        ("Port ssh\n", "line 1: port 'ssh' is no port"),
        ("Port\n", "line 1: 'Port' should be an option and a value"),
    ],
)
def test_a_config_that_cannot_be_followed(config: str, says: str, home: Path) -> None:
    say(home, config)
    with pytest.raises(BadConfiguration, match=says) as caught:
        SshConnection(Host(address="127.0.0.1")).connect()
    assert caught.value.permanent


def test_a_named_key_that_cannot_be_used(sshd: Sshd, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("no key\n")
    for path, says in ((tmp_path / "missing", "no such file"), (broken, r"broken \(")):
        with pytest.raises(BadConfiguration, match=says):
            ssh_to(sshd, identity=str(path)).connect()


@pytest.mark.needs("ssh")
def test_a_human_gets_in_by_the_command_that_we_tell(sshd: Sshd, connect: Connect) -> None:
    connection = connect(sshd)
    command = [*shlex.split(connection.login), "-oBatchMode=yes", "echo", "in"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"in\n"


def test_a_login_says_what_the_config_does_not(home: Path) -> None:
    say(home, "Host broken\nHostName\n")
    host = Host(address="box", user="me", port=7, identity="/my key", jump="a,b:1")
    assert SshConnection(host).login == "ssh -p 7 -i '/my key' -J a,b:1 me@box"
    (home / ".ssh/config").unlink()
    assert SshConnection(Host(address="box")).login == "ssh box"


# Whom to trust


def test_an_unknown_host_is_remembered(sshd: Sshd, home: Path) -> None:
    own = home / ".local/state/atex/known_hosts"
    line = f"[{sshd.address}]:{sshd.port} {sshd.host_key}\n"
    for _ in range(2):
        with ssh_to(sshd):
            assert own.read_text() == line


def test_the_users_file_is_read_and_not_written(sshd: Sshd, home: Path) -> None:
    (home / ".ssh").mkdir()
    users = home / ".ssh/known_hosts"
    users.write_text(f"# mine\n[{sshd.address}]:{sshd.port} {sshd.host_key}\n")
    before = users.read_text()
    with ssh_to(sshd):
        pass
    assert not (home / ".local").exists()
    assert users.read_text() == before


@pytest.mark.parametrize("whose", [".ssh/known_hosts", ".local/state/atex/known_hosts"])
def test_a_changed_key_is_an_error_with_file_and_line(sshd: Sshd, home: Path, whose: str) -> None:
    path = home / whose
    path.parent.mkdir(parents=True)
    path.write_text(f"# one\n[{sshd.address}]:{sshd.port} {sshd.host_key}\n")
    sshd.restart(new_host_key=True)
    with pytest.raises(HostKeyChanged) as caught:
        ssh_to(sshd).connect()
    message = str(caught.value)
    assert message.startswith(f"{where(sshd)}: its host key is not the one of {path}:2 any more")
    assert f"ssh-keygen -f '{path}' -R '[{sshd.address}]:{sshd.port}'" in message
    assert caught.value.permanent
    assert "Accepted" not in sshd.log()  # the login was not even tried
    remove = ["ssh-keygen", "-f", str(path), "-R", f"[{sshd.address}]:{sshd.port}"]
    subprocess.run(remove, check=True, capture_output=True)
    with ssh_to(sshd):
        pass


def test_a_key_of_another_kind_is_a_changed_key(sshd: Sshd, home: Path, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "k"], check=True)
    (home / ".ssh").mkdir()
    other = " ".join((tmp_path / "k.pub").read_text().split()[:2])
    (home / ".ssh/known_hosts").write_text(f"[{sshd.address}]:{sshd.port} {other}\n")
    with pytest.raises(HostKeyChanged):
        ssh_to(sshd).connect()


def test_a_revoked_key_is_refused(sshd: Sshd, home: Path) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh/known_hosts").write_text(f"@revoked * {sshd.host_key}\n")
    with pytest.raises(HostKeyChanged, match=r"revoked by .*known_hosts:1"):
        ssh_to(sshd).connect()


def test_a_key_that_cannot_be_kept_is_an_error(sshd: Sshd, home: Path) -> None:
    (home / ".local").write_text("not a folder")
    with pytest.raises(CannotConnect, match="cannot keep its host key"):
        ssh_to(sshd).connect()


def test_an_unknown_host_is_refused_by_who_is_strict(sshd: Sshd, home: Path) -> None:
    with pytest.raises(HostKeyUnknown) as caught:
        strictly(sshd).connect()
    assert caught.value.permanent
    assert not (home / ".local").exists()
    message = str(caught.value)
    assert message.startswith(f"{where(sshd)}: its host key is not known, and only known ones are")
    (home / ".ssh").mkdir()
    (advice,) = re.findall(r"add it: (echo .*)$", message)
    subprocess.run(["sh", "-c", advice], check=True)
    with strictly(sshd) as connection:
        assert connection.run("true").exit_code == 0
    sshd.restart(new_host_key=True)
    with pytest.raises(HostKeyChanged):
        strictly(sshd).connect()


def strictly(server: Sshd) -> SshConnection:
    return SshConnection(host_of(server), host_keys="strict")


def test_a_host_of_which_nothing_is_to_be_known(sshd: Sshd, home: Path) -> None:
    say(home, "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n")
    for _ in range(2):
        with ssh_to(sshd):
            pass
        sshd.restart(new_host_key=True)
    assert not (home / ".local").exists()


# Why it does not answer


def test_refused(sshd: Sshd) -> None:
    sshd.stop()
    with pytest.raises(
        ConnectionRefused, match=f"{where(sshd)}: connection refused; is sshd running"
    ):
        ssh_to(sshd).connect()


def test_a_name_is_looked_up_and_each_of_its_addresses_tried() -> None:
    if reason := sshd_missing():
        pytest.skip(reason)
    with (
        Sshd(address="127.0.0.1") as server,  # localhost may be ::1 first, where nobody listens
        ssh_to(server, address="localhost") as connection,
    ):
        assert connection.run("true").exit_code == 0


def test_an_address_of_a_kind_that_this_machine_has_not(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a kernel without IPv6 answers, and a name that has such an address, too."""
    stream = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    nowhere = (len(socket.AddressFamily) + 1000, *stream, ("::1", sshd.port))
    there = (socket.AF_INET, *stream, (sshd.address, sshd.port))
    answers = [nowhere, there]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *where, **how: answers)
    with ssh_to(sshd) as connection:
        assert connection.run("true").exit_code == 0
    answers.remove(there)
    with pytest.raises(CannotConnect, match=r"cannot be reached: .*not supported"):
        ssh_to(sshd).connect()


def test_a_name_without_a_thread_to_look_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(CannotConnect, match="cannot be looked up: can't start new thread"):
        SshConnection(Host(address="nobody.invalid")).connect()


def test_no_such_host() -> None:
    with pytest.raises(UnknownHost, match=r"nobody\.invalid:22: no such host"):
        SshConnection(Host(address="nobody.invalid")).connect()


def test_an_impossible_name() -> None:
    with pytest.raises(UnknownHost):
        SshConnection(Host(address="x" * 70 + ".invalid")).connect()


def test_a_cut_link_times_out(light_host: LightHost) -> None:
    light_host.cut()
    with pytest.raises(ConnectTimeout, match=rf"{where(light_host)}: no answer in 0\.2 s; is the"):
        SshConnection(Host(address=light_host.address), timeout=0.2).connect()


def test_how_long_that_takes_is_in_the_config(home: Path, light_host: LightHost) -> None:
    say(home, f"Host {light_host.address}\n  ConnectTimeout 1\n")
    light_host.cut()
    with pytest.raises(ConnectTimeout, match="no answer in 1 s"):
        SshConnection(Host(address=light_host.address)).connect()


def test_a_silent_server_times_out() -> None:
    with silent_server() as port, pytest.raises(CannotConnect, match="handshake"):
        SshConnection(Host(address="127.0.0.1", port=port), timeout=0.3).connect()


def test_something_else_than_ssh() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                peer.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        answering = Background(answer)
        with pytest.raises(CannotConnect, match="is that an ssh server"):
            SshConnection(Host(address="127.0.0.1", port=server.getsockname()[1])).connect()
        answering.result()


@pytest.mark.parametrize("stage", ["tcp", "handshake"])
def test_close_ends_a_connect_that_waits(stage: str, request: pytest.FixtureRequest) -> None:
    with silent_server() as port:
        host = Host(address="127.0.0.1", port=port)
        if stage == "tcp":
            black_hole: LightHost = request.getfixturevalue("light_host")
            black_hole.cut()
            host = Host(address=black_hole.address)
        connection = SshConnection(host)
        connecting = Background(connection.connect)
        with pytest.raises(AssertionError):
            connecting.result(0.2)
        started = time.monotonic()
        connection.close()
        with pytest.raises(CannotConnect, match="closed while it was being made"):
            connecting.result()
        assert time.monotonic() - started < 20  # of thirty


def test_at_most_eight_handshakes_at_once() -> None:
    """Counted by a server that takes every connection and answers none."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        host = Host(address="127.0.0.1", port=server.getsockname()[1])
        connections = [SshConnection(host) for _ in range(12)]
        waiting = [Background(connection.connect) for connection in connections]
        peers = [server.accept()[0] for _ in range(8)]
        server.settimeout(0.3)
        with pytest.raises(TimeoutError):
            server.accept()
        peers.pop().close()
        server.settimeout(PATIENCE)
        peers.append(server.accept()[0])
        for connection in connections:
            connection.close()
        for thread in waiting:
            with pytest.raises(CannotConnect):
                thread.result()
        for peer in peers:
            peer.close()


@pytest.mark.parametrize("count", [40, pytest.param(200, marks=pytest.mark.nightly)])
def test_many_connections_of_one_process(count: int, sshd: Sshd) -> None:
    """Made all at once, used all at once, and each of them costs a thread."""
    before = threading.active_count()
    connections = [ssh_to(sshd) for _ in range(count)]
    for connecting in [Background(connection.connect) for connection in connections]:
        connecting.result(3 * PATIENCE)
    assert threading.active_count() == before + count
    uses = [Background(lambda one=one: one.run("echo in")) for one in connections]  # type: ignore[misc]
    assert {use.result(3 * PATIENCE).stdout for use in uses} == {b"in\n"}
    for connection in connections:
        connection.close()
    assert threading.active_count() == before


# How it is lost


@pytest.mark.parametrize("call", ["receive", "send", "wait"])
def test_a_killed_connection_wakes_who_waits(sshd: Sshd, connect: Connect, call: str) -> None:
    connection = connect(sshd)
    with connection.open("sleep 1000") as channel:
        calls: dict[str, Callable[[], object]] = {
            "receive": lambda: channel.receive(1),
            "send": lambda: channel.send(bytes(20_000_000)),
            "wait": lambda: channel.wait(None),
        }
        waiter = Background(calls[call])
        with pytest.raises(AssertionError):
            waiter.result(0.1)
        sshd.kill_sessions()
        with pytest.raises(ConnectionLost, match=f"{connection.name}: the connection was lost"):
            waiter.result()
    with pytest.raises(ConnectionLost):
        connection.run("true")
    connection.connect()
    assert connection.run("echo again").stdout == b"again\n"


def test_a_cut_link_is_noticed(light_host: LightHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the kernel, whose patience is shortened here."""
    monkeypatch.setattr("atex_provision.ssh.tcp.SILENCE", 300)
    with ssh_to(light_host) as connection, connection.open("cat") as channel:
        channel.send(b"x")
        assert channel.receive(1, PATIENCE) == b"x"  # nothing is on its way any more
        light_host.cut()
        channel.send(b"into the void")
        with pytest.raises(ConnectionLost, match="the connection was lost: its other end is gone"):
            channel.receive(1, PATIENCE)


def test_a_refused_channel_is_a_lost_connection(sshd: Sshd, connect: Connect) -> None:
    config = sshd.folder / "sshd_config"
    config.write_text(config.read_text().replace("MaxSessions 1000", "MaxSessions 1"))
    sshd.restart()
    connection = connect(sshd)
    with connection.open("cat"), pytest.raises(ConnectionLost):
        connection.open("true")
    connection.connect()
    assert connection.run("true").exit_code == 0


def test_a_connection_costs_one_thread(sshd: Sshd, connect: Connect) -> None:
    before = threading.active_count()
    connection = connect(sshd)
    with connection.open("cat") as one, connection.open("cat") as other:
        one.send(b"x")
        other.send(b"y")
        assert one.receive(1) + other.receive(1) == b"xy"
        assert threading.active_count() == before + 1
    connection.close()
    assert threading.active_count() == before


def test_an_idle_connection_wakes_nobody(sshd: Sshd, connect: Connect) -> None:
    """paramiko by itself looks ten times a second whether anything has come."""
    before = set(threading.enumerate())
    connection = connect(sshd)
    assert connection.run("true").exit_code == 0
    (thread,) = set(threading.enumerate()) - before
    status = Path(f"/proc/self/task/{thread.native_id}/status")

    def switches() -> int:
        (found,) = re.findall(r"^voluntary_ctxt_switches:\s(\d+)", status.read_text(), re.MULTILINE)
        return int(found)

    def wakes_up() -> bool:
        known = switches()
        time.sleep(0.5)
        return switches() > known

    # The end of `true` may still have been on its way.
    assert not (wakes_up() and wakes_up())


def test_nothing_is_printed_about_a_lost_connection(
    sshd: Sshd, connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    connection = connect(sshd)
    sshd.kill_sessions()
    with pytest.raises(ConnectionLost):
        connection.run("sleep 1000")
    sshd.stop()
    with pytest.raises(ConnectionRefused):
        connection.connect()
    assert capfd.readouterr() == ("", "")
