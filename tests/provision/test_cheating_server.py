"""Servers that cheat: whatever they send, it ends with an error in time, costs little memory, and disturbs nobody."""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import pytest
from atex_provision import (
    CannotConnect,
    ConnectionLost,
    ConnectTimeout,
    Host,
    ProvisionError,
    SshConnection,
)
from paramiko.common import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_SUCCESS,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_DEBUG,
    MSG_EXT_INFO,
    MSG_GLOBAL_REQUEST,
    MSG_IGNORE,
    MSG_USERAUTH_BANNER,
)

from tests.machines import Sshd
from tests.provision.cheating_server import (
    GREETING,
    Cheat,
    LetIn,
    Server,
    after_login,
    cheating_server,
    in_command,
)
from tests.provision.conftest import Connect
from tests.provision.conftest import say as say_in_config
from tests.waits import PATIENCE, Background, eventually

MUCH = bytes(1 << 20)
MOST_MEMORY = 24 << 20  # bytes; four times a channel's window and some for the threads
HUGE = b"\x7f\xff\xff\xfc"  # a packet's length


@pytest.fixture
def bounded() -> Iterator[None]:
    """What happens in the test costs little memory, and leaves no thread."""
    before = threading.active_count()
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak is what is resident now
    resident = peak()
    yield
    eventually(lambda: threading.active_count() <= before)
    assert peak() - resident < MOST_MEMORY


def peak() -> int:
    """What this process has had resident at most, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmHWM")


# While it connects


def say(*parts: bytes) -> Cheat:
    """Says that, and then nothing more."""

    def cheat(peer: socket.socket) -> None:
        for part in parts:
            peer.sendall(part)
        while peer.recv(1 << 16):
            pass

    return cheat


def for_ever(*parts: bytes, pause: float = 0.0) -> Cheat:
    """Says that, and the last part again and again."""

    def cheat(peer: socket.socket) -> None:
        for part in itertools.chain(parts, itertools.repeat(parts[-1])):
            peer.sendall(part)
            time.sleep(pause)

    return cheat


def packet(kind: int, content: bytes = b"") -> bytes:
    """A packet of the time before there are keys (RFC 4253, 6)."""
    payload = bytes([kind]) + content
    padding = 4 + -(len(payload) + 9) % 8
    size = (len(payload) + padding + 1).to_bytes(4, "big")
    return size + bytes([padding]) + payload + bytes(padding)


def kex_init_again_and_again(peer: socket.socket) -> None:
    server = Server(peer)
    send = server._send_kex_init  # type: ignore[attr-defined]

    def send_all_the_time() -> None:
        while True:
            send()

    server._send_kex_init = send_all_the_time  # type: ignore[attr-defined]
    serve_until_hung_up(server)


def no_answer_to_the_key_exchange(peer: socket.socket) -> None:
    serve_until_hung_up(Server(peer, _parse_kex_init=lambda message: time.sleep(1.0)))


def banners_instead_of_a_login(peer: socket.socket) -> None:
    server = Server(peer)

    class Banners(LetIn):
        def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
            while True:
                server.say(MSG_USERAUTH_BANNER, bytes(30_000), "")

    server.serve(Banners())
    server.join()


def serve_until_hung_up(server: Server) -> None:
    server.serve()
    server.join()


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    ("cheat", "says"),
    [
        (for_ever(MUCH), "no greeting of SSH, but much else"),
        (for_ever(b"welcome\n" * 10_000), "but much else; first 'welcome'"),
        (say(b"SSH-1.5-old\r\n"), "does not speak SSH 2.0, but says 'SSH-1.5-old'"),
        (say(GREETING, HUGE + MUCH), "announced a packet of"),
        (say(GREETING, packet(20, bytes(100))), "the ssh handshake failed"),
        (for_ever(GREETING, packet(MSG_EXT_INFO, b"\xff" * 4)), "the ssh handshake failed"),
        (kex_init_again_and_again, "the ssh handshake failed"),
    ],
)
def test_what_is_wrong_while_it_connects(cheat: Cheat, says: str, tmp_path: Path) -> None:
    with (
        cheating_server(cheat, tmp_path, timeout=PATIENCE) as connection,
        pytest.raises(CannotConnect, match=says),
    ):
        connection.connect()


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    ("cheat", "step", "timeout"),
    [
        (say(GREETING), "ssh handshake", 0.5),
        (for_ever(b"x", pause=0.05), "ssh handshake", 0.5),
        (for_ever(GREETING, packet(MSG_IGNORE, bytes(30_000))), "ssh handshake", 0.5),
        (for_ever(GREETING, packet(MSG_DEBUG, bytes(30_000))), "ssh handshake", 0.5),
        (no_answer_to_the_key_exchange, "ssh handshake", 0.5),
        (banners_instead_of_a_login, "login", 3.0),
    ],
)
def test_what_has_no_end_while_it_connects(
    cheat: Cheat, step: str, timeout: float, tmp_path: Path
) -> None:
    with (
        cheating_server(cheat, tmp_path, timeout=timeout) as connection,
        pytest.raises(ConnectTimeout, match=f"no answer to the {step} in {timeout:g} s"),
    ):
        connection.connect()


# Once it is connected


def say_for_ever(kind: int, *words: str | int | bytes | bool) -> Callable[..., None]:
    def cheat(server: Server, *_: object) -> None:
        while server.is_active():
            server.say(kind, *words)

    return cheat


def ignore_the_window(server: Server, channel: paramiko.Channel) -> None:
    while server.is_active():
        server.say(MSG_CHANNEL_DATA, channel.remote_chanid, bytes(30_000))


def ignore_the_window_on_stderr(server: Server, channel: paramiko.Channel) -> None:
    while server.is_active():
        server.say(MSG_CHANNEL_EXTENDED_DATA, channel.remote_chanid, 1, bytes(30_000))


def huge_packet(server: Server, channel: paramiko.Channel) -> None:
    server.sock.sendall(HUGE + MUCH)  # the length of a packet is not encrypted with AES-GCM


def no_answer_to_open(peer: socket.socket) -> None:
    server = Server(peer)
    server._handler_table[MSG_CHANNEL_OPEN] = lambda message: None  # type: ignore[attr-defined]
    serve_until_hung_up(server)


def new_keys_all_the_time(server: Server, channel: paramiko.Channel) -> None:
    while server.is_active():
        server.renegotiate_keys()


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    ("cheat", "says"),
    [
        (in_command(ignore_the_window), "sent more than the window allows"),
        (in_command(huge_packet), "announced a packet of"),
        (in_command(new_keys_all_the_time), "wants new keys all the time"),
        (in_command(lambda server, channel: server.say(MSG_EXT_INFO, 2**32 - 1)), "4294967295"),
        (in_command(lambda server, channel: server.say(MSG_CHANNEL_DATA, 77, b"")), "is gone"),
        (in_command(lambda server, channel: server.say(200)), "lost"),
        (no_answer_to_open, "no channel was opened in 1 s"),
    ],
)
def test_once_it_is_connected(
    cheat: Cheat, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atex_provision.ssh.transport.OPEN_TIME", 1.0)
    monkeypatch.setattr("atex_provision.ssh.transport.MOST_REKEYS", 5)
    with cheating_server(cheat, tmp_path, timeout=PATIENCE) as connection:
        connection.connect()
        with pytest.raises(ConnectionLost, match=says), connection.open("yes") as channel:
            channel.wait(PATIENCE)


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    "cheat",
    [
        ignore_the_window_on_stderr,
        say_for_ever(MSG_GLOBAL_REQUEST, "what@example.com", True),
        say_for_ever(MSG_GLOBAL_REQUEST, "what@example.com", False, bytes(30_000)),
        say_for_ever(MSG_CHANNEL_OPEN, "x11", 1, 1 << 20, 1 << 15),
        say_for_ever(MSG_CHANNEL_OPEN_SUCCESS, 77, 1, 1 << 20, 1 << 15),
        say_for_ever(MSG_CHANNEL_REQUEST, 0, "what@example.com", True),
        say_for_ever(MSG_CHANNEL_WINDOW_ADJUST, 0, 2**32 - 1),
        say_for_ever(MSG_IGNORE, bytes(30_000)),
    ],
)
def test_noise_without_end_is_the_callers_time(
    cheat: Callable[..., None], tmp_path: Path, sshd: Sshd, connect: Connect
) -> None:
    """It says nothing wrong; and others are not disturbed."""
    other = connect(sshd)
    with cheating_server(in_command(cheat), tmp_path, timeout=PATIENCE) as connection:
        connection.connect()
        running = Background(lambda: connection.run("sleep 1000", timeout=0.5))
        for _ in range(5):
            assert other.run("echo fine", timeout=PATIENCE).stdout == b"fine\n"
        with pytest.raises((TimeoutError, ProvisionError)):
            running.result()


def test_a_command_has_its_limit_before_it_begins_too(tmp_path: Path) -> None:
    with cheating_server(no_answer_to_open, tmp_path, timeout=PATIENCE) as connection:
        connection.connect()
        started = time.monotonic()
        with pytest.raises(TimeoutError, match=r"not done after 0\.3 seconds: true"):
            connection.run("true", timeout=0.3)
        assert time.monotonic() - started < PATIENCE


def test_a_channel_that_comes_too_late_is_closed(tmp_path: Path) -> None:
    ready, late, closed = threading.Event(), threading.Event(), threading.Event()

    def open_late(server: Server) -> None:
        handlers = server._handler_table  # type: ignore[attr-defined]
        open_channel = handlers[MSG_CHANNEL_OPEN]

        def once_it_is_late(message: paramiko.Message) -> None:
            late.wait(PATIENCE)
            open_channel(message)

        handlers[MSG_CHANNEL_OPEN] = once_it_is_late
        ready.set()
        channel = server.accept(PATIENCE)
        assert channel is not None
        eventually(lambda: channel.closed)
        closed.set()

    with cheating_server(after_login(open_late), tmp_path, timeout=PATIENCE) as connection:
        connection.connect()
        assert ready.wait(PATIENCE)
        with pytest.raises(TimeoutError, match="no channel was opened in"):
            connection.open("true", 0.2)
        late.set()
        assert closed.wait(PATIENCE)
        connection.open("true", PATIENCE).close()


@pytest.mark.usefixtures("bounded")
def test_a_jump_host_that_fills_the_stderr_of_a_tunnel(home: Path, tmp_path: Path) -> None:
    with cheating_server(in_command(ignore_the_window_on_stderr), tmp_path) as jump:
        say_in_config(home, f"IdentityFile {tmp_path / 'identity'}\n")
        target = Host(address="target", user="me", jump=jump.name)
        with pytest.raises(CannotConnect, match="target:22: the ssh handshake failed"):
            SshConnection(target, timeout=5.0).connect()


@pytest.mark.usefixtures("bounded")
def test_two_exit_codes(tmp_path: Path) -> None:
    def cheat(server: Server, channel: paramiko.Channel) -> None:
        channel.send_exit_status(3)
        channel.send_exit_status(4)
        channel.close()

    with cheating_server(in_command(cheat), tmp_path, timeout=PATIENCE) as connection:
        connection.connect()
        assert connection.run("exit 3", timeout=PATIENCE).exit_code in (3, 4)
