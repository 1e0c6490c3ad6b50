"""What our Transport does better than paramiko's, over a real sshd."""

import contextlib
import hashlib
import os
import socket
import threading

import paramiko
import pytest
from atex_provision import SshConnection
from atex_provision.ssh.channels import WINDOW
from atex_provision.ssh.transport import (
    LARGEST_PACKET,
    PACKET,
    BoundedPacketizer,
    BoundedTransport,
    close_transport,
)

from tests.machines import Sshd
from tests.provision.conftest import Connect
from tests.waits import PATIENCE, Background, eventually

MEGABYTE = 1_000_000


def cipher_of(connection: SshConnection) -> str:
    return str(vars(connection._transport)["remote_cipher"])  # unknown to the stubs


def test_the_cheapest_cipher_is_taken(
    sshd: Sshd, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cipher_of(connect(sshd)) == "aes128-gcm@openssh.com"
    monkeypatch.setattr(BoundedTransport, "_preferred_ciphers", ("aes256-ctr",))
    assert cipher_of(connect(sshd)) == "aes256-ctr"


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes128-ctr"])
def test_keys_are_exchanged_again_under_load(
    sshd: Sshd, connect: Connect, monkeypatch: pytest.MonkeyPatch, cipher: str
) -> None:
    """Data both ways, a flood on stderr, and channels that come and go, with new keys every 256
    KiB.

    Without the postponed messages of BoundedTransport this hangs within seconds.
    """
    monkeypatch.setattr(BoundedTransport, "_preferred_ciphers", (cipher,))
    monkeypatch.setattr(BoundedPacketizer, "REKEY_BYTES", 256 << 10)
    exchanges = []
    parse_newkeys = BoundedTransport._parse_newkeys

    def count(transport: BoundedTransport, message: paramiko.Message) -> None:
        exchanges.append(message)
        parse_newkeys(transport, message)

    monkeypatch.setattr(BoundedTransport, "_parse_newkeys", count)
    connection = connect(sshd)
    data = os.urandom(8 * MEGABYTE)

    def echo() -> bytes:
        with connection.open("tee /dev/stderr") as channel:

            def send() -> None:
                channel.send(data, PATIENCE)
                channel.close_stdin()

            sender = Background(send)
            digest = hashlib.sha256()
            while chunk := channel.receive(MEGABYTE, PATIENCE):
                digest.update(chunk)
            sender.result()
            return digest.digest()

    def come_and_go(connection: SshConnection) -> None:
        while echoing.waiting:
            assert connection.run("head -c 100000 /dev/zero", timeout=PATIENCE).exit_code == 0

    echoing = Background(echo)
    come_and_go(connection)
    assert echoing.result(3 * PATIENCE) == hashlib.sha256(data).digest()
    assert len(exchanges) > 10


def test_an_oversized_packet_is_refused() -> None:
    class Endless:
        """A socket whose peer never stops."""

        def recv(self, size: int) -> bytes:
            return (b"\x7f\x7f\x7f\x7c" * 1024)[:size]

    packetizer = BoundedPacketizer(Endless())  # type: ignore[arg-type]
    with pytest.raises(paramiko.SSHException, match=f"a packet of {0x7F7F7F7C - 4} bytes"):
        packetizer.read_message()
    assert len(packetizer.read_all(LARGEST_PACKET)) == LARGEST_PACKET


def test_who_asked_for_a_channel_is_woken_when_the_servers_words_are_known() -> None:
    near, far = socket.socketpair()
    transport = BoundedTransport(near)
    known: list[Exception | None] = []

    class Woken(threading.Event):
        def set(self) -> None:
            known.append(transport.saved_exception)
            super().set()

    refusal = paramiko.Message()
    for word in (7, 2):
        refusal.add_int(word)
    for words in ("no such port", "en"):
        refusal.add_string(words)
    with far:
        transport.channel_events = {7: Woken()}
        for _ in range(2):  # once too often disturbs nobody
            refusal.rewind()
            transport._parse_channel_open_failure(refusal)
        close_transport(transport)
    assert [str(error) for error in known] == [str(paramiko.ChannelException(2, "no such port"))]


class Greedy(paramiko.ServerInterface):
    """A server that lets everybody in and runs everything."""

    def check_auth_none(self, username: str) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        return True


def test_a_server_that_ignores_the_window_is_hung_up() -> None:
    near, far = socket.socketpair()
    server, client = paramiko.Transport(far), BoundedTransport(near)
    try:
        server.add_server_key(paramiko.ECDSAKey.generate())
        server.start_server(threading.Event(), Greedy())  # which does not wait then
        client.start_client(timeout=PATIENCE)
        client.auth_none("anybody")
        channel, _ = client.start_command("yes")
        sending = server.accept(PATIENCE)
        assert sending is not None
        sending.out_window_size = 1 << 30  # as if we had allowed it
        with contextlib.suppress(OSError, EOFError):
            for _ in range(2 * WINDOW // PACKET):
                sending.send(bytes(PACKET))
        eventually(lambda: not client.is_active())
        assert len(channel.in_buffer) <= WINDOW + LARGEST_PACKET
        assert "more than the window allows" in str(client.get_exception())
    finally:
        close_transport(client)
        close_transport(server)
