"""Channels that live: both ways, in parts, held back, many at once."""

import hashlib
import os
from contextlib import ExitStack

import pytest

from atex_provision.connection.base import Channel, Connection
from atex_provision.errors import ConnectionLost
from atex_provision.testing.connection.commands import MEGABYTE
from atex_provision.testing.suite import Suite
from atex_provision.testing.waits import PATIENCE, Background

MANY = 20


def receive_all(channel: Channel) -> bytes:
    """stdout to its end."""
    found = bytearray()
    while chunk := channel.receive(MEGABYTE, PATIENCE):
        found += chunk
    return bytes(found)


class Channels(Suite):
    """Open channels."""

    __test__ = False

    def test_a_channel_talks_both_ways(self, connection: Connection) -> None:
        with connection.open("cat; echo done") as channel:
            channel.send(b"ping")
            assert channel.receive(100, PATIENCE) == b"ping"
            channel.close_stdin()
            assert receive_all(channel) == b"done\n"
            assert channel.receive(100, PATIENCE) == b""
            assert channel.wait(PATIENCE) == 0
            assert channel.wait(0) == 0

    def test_receive_takes_no_more_than_was_asked_for(self, connection: Connection) -> None:
        with connection.open("echo 123456789") as channel:
            found = channel.receive(4, PATIENCE)
            assert len(found) <= 4
            assert found + receive_all(channel) == b"123456789\n"

    def test_receive_and_wait_time_out_and_lose_nothing(self, connection: Connection) -> None:
        with connection.open("read line; echo $line") as channel:
            with pytest.raises(TimeoutError):
                channel.receive(100, 0.01)
            with pytest.raises(TimeoutError):
                channel.receive(100, 0)
            with pytest.raises(TimeoutError):
                channel.wait(0.01)
            with pytest.raises(TimeoutError):
                channel.wait(0)
            channel.send(b"late\n")
            assert receive_all(channel) == b"late\n"
            assert channel.wait(PATIENCE) == 0

    def test_a_signal_ends_a_channel(self, connection: Connection) -> None:
        with connection.open("echo about to; kill -KILL $$") as channel:
            assert receive_all(channel) == b"about to\n"
            assert channel.wait(PATIENCE) == 128 + 9

    def test_ten_megabytes_come_back_whole(self, connection: Connection) -> None:
        data = os.urandom(10 * MEGABYTE)
        with connection.open("cat") as channel:

            def send() -> None:
                channel.send(data, PATIENCE)
                channel.close_stdin()

            sender = Background(send)
            assert hashlib.sha256(receive_all(channel)).digest() == hashlib.sha256(data).digest()
            sender.result()
            assert channel.wait(PATIENCE) == 0

    def test_many_channels_at_once(self, connection: Connection) -> None:
        """One that nobody reads does not hold the others."""
        with ExitStack() as stack:
            stack.enter_context(connection.open("head -c 20000000 /dev/zero"))
            channels = [stack.enter_context(connection.open("cat")) for _ in range(MANY)]
            for number, channel in enumerate(channels):
                channel.send(b"%d\n" % number, PATIENCE)
            for number, channel in reversed(list(enumerate(channels))):
                assert channel.receive(100, PATIENCE) == b"%d\n" % number
                channel.close_stdin()
                assert channel.wait(PATIENCE) == 0

    def test_stderr_comes_while_the_command_runs(self, connection: Connection) -> None:
        with connection.open("echo first >&2; echo out; read line; echo second >&2") as channel:
            assert channel.receive(100, PATIENCE) == b"out\n"
            channel.send(b"go on\n")
            assert receive_all(channel) == b""
            assert channel.wait(PATIENCE) == 0
            assert channel.stderr_tail() == b"first\nsecond\n"

    def test_stderr_cannot_wedge_stdout(self, connection: Connection) -> None:
        with connection.open("head -c 10000000 /dev/zero >&2; echo last >&2; echo out") as channel:
            assert receive_all(channel) == b"out\n"
            assert channel.wait(PATIENCE) == 0
            tail = channel.stderr_tail()
        assert len(tail) == 64 << 10
        assert tail.endswith(b"\0last\n")

    def test_stderr_cannot_wedge_a_sender_or_a_waiter(self, connection: Connection) -> None:
        flood = "head -c 10000000 /dev/zero >&2"
        with connection.open(f"{flood}; cat >/dev/null") as channel:
            channel.send(bytes(10 * MEGABYTE), PATIENCE)
        with connection.open(flood) as channel:
            assert channel.wait(PATIENCE) == 0

    def test_a_sender_is_held_back_not_lost(self, connection: Connection, stuck: str) -> None:
        with connection.open(stuck) as channel, pytest.raises(TimeoutError):
            channel.send(bytes(20 * MEGABYTE), 0.05)

    def test_who_reads_a_little_now_and_then_does_not_hold_a_sender(
        self, connection: Connection
    ) -> None:
        slowly = 'while [ "$(head -c 65536 | wc -c)" -gt 0 ]; do sleep 0.02; done'
        with connection.open(slowly) as channel, pytest.raises(TimeoutError):
            channel.send(bytes(200 * MEGABYTE), 0.5)

    def test_who_reads_no_more_is_lost_for_a_sender(self, connection: Connection) -> None:
        with connection.open("exit 0") as channel:
            assert channel.wait(PATIENCE) == 0
            assert receive_all(channel) == b""
            with pytest.raises(ConnectionLost):
                channel.send(bytes(20 * MEGABYTE), PATIENCE)
        assert connection.run("true").exit_code == 0
