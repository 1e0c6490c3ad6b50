"""connect(), close() of a connection and of a channel, from wherever they come."""

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from atex_provision.connection.base import Channel, Connection
from atex_provision.errors import CannotConnect, ConnectionLost
from atex_provision.testing.suite import Suite
from atex_provision.testing.waits import PATIENCE, Background

WAITING_CALLS: dict[str, Callable[[Channel], object]] = {
    "receive": lambda channel: channel.receive(1),
    "send": lambda channel: channel.send(bytes(20_000_000)),
    "wait": lambda channel: channel.wait(None),
}
AT_ONCE = 1.0  # seconds
CONNECTIONS = 8


class Ends(Suite):
    """How connections and channels end, and begin again."""

    __test__ = False

    def test_a_connection_has_a_name(self, new_connection: Callable[[], Connection]) -> None:
        name = new_connection().name
        assert name
        assert name.isprintable()

    def test_without_connect_there_is_nothing(
        self, new_connection: Callable[[], Connection]
    ) -> None:
        connection = new_connection()
        with pytest.raises(ConnectionLost) as caught:
            connection.open("true")
        assert connection.name in str(caught.value)
        connection.close()

    def test_a_closed_connection_is_lost_and_may_be_connected_again(
        self, connection: Connection
    ) -> None:
        connection.close()
        connection.close()
        with pytest.raises(ConnectionLost):
            connection.open("true")
        connection.connect()
        with connection.open("cat") as channel:
            connection.connect()  # it is connected: nothing happens
            channel.send(b"x")
            assert channel.receive(1, PATIENCE) == b"x"

    def test_a_context_manager_closes_also_after_an_error(
        self, new_connection: Callable[[], Connection]
    ) -> None:
        connection = new_connection()
        channels = []

        def use() -> None:
            with connection as entered:
                assert entered is connection
                channels.append(connection.open("cat"))
                raise KeyError

        with pytest.raises(KeyError):
            use()
        with pytest.raises(ConnectionLost):
            channels[0].receive(1, PATIENCE)
        with pytest.raises(ConnectionLost):
            connection.open("true")

    def test_close_ends_a_connect(self, new_connection: Callable[[], Connection]) -> None:
        """Whichever of the two comes first."""
        connection = new_connection()
        for delay in (0.0, 0.001, 0.003, 0.01, 0.03, 0.1):
            connecting = Background(connection.connect)
            connecting.ended(delay)
            connection.close()
            with suppress(CannotConnect):
                connecting.result(AT_ONCE)
            connection.close()
        with connection:
            assert connection.run("true").exit_code == 0

    def test_several_connections_at_once(self, new_connection: Callable[[], Connection]) -> None:
        connections = [new_connection() for _ in range(CONNECTIONS)]
        try:
            for thread in [Background(connection.connect) for connection in connections]:
                thread.result()
            connections[0].close()
            for connection in connections[1:]:
                assert connection.run("echo here").stdout == b"here\n"
        finally:
            for connection in connections:
                connection.close()

    @pytest.mark.parametrize("whole", [False, True], ids=["channel", "connection"])
    @pytest.mark.parametrize("call", WAITING_CALLS)
    def test_close_wakes_who_waits(
        self, connection: Connection, stuck: str, call: str, whole: bool
    ) -> None:
        with connection.open(stuck) as channel:
            waiter = Background(lambda: WAITING_CALLS[call](channel))
            assert not waiter.ended(0.05)
            started = time.monotonic()
            (connection if whole else channel).close()
            with pytest.raises(ConnectionLost):
                waiter.result()
            assert time.monotonic() - started < AT_ONCE

    def test_close_wakes_all_who_wait(self, connection: Connection, stuck: str) -> None:
        channels = [connection.open(stuck) for _ in range(4)]
        waiters = [
            Background(lambda call=call, channel=channel: call(channel))  # type: ignore[misc]
            for call in WAITING_CALLS.values()
            for channel in channels
        ]
        assert not any(waiter.ended(0.01) for waiter in waiters)
        connection.close()
        for waiter in waiters:
            with pytest.raises(ConnectionLost):
                waiter.result(AT_ONCE)

    def test_a_closed_channel_is_lost(self, connection: Connection) -> None:
        channel = connection.open("echo something; cat")
        assert channel.receive(9, PATIENCE)
        channel.close()
        channel.close()
        for call in (
            lambda: channel.receive(1, 0),
            lambda: channel.send(b"x", 0),
            lambda: channel.wait(0),
            channel.close_stdin,
        ):
            with pytest.raises(ConnectionLost):
                call()
        assert channel.stderr_tail() == b""
        assert connection.run("true").exit_code == 0

    def test_a_daemon_outlives_its_channel(self, connection: Connection, folder: str) -> None:
        connection.run(f"mkfifo {folder}/in {folder}/out")
        daemon = f"echo up; read word <{folder}/in; echo $word >{folder}/out"
        command = f"setsid sh -c '{daemon}' </dev/null 2>/dev/null & cat >/dev/null"
        with connection.open(command) as channel:
            assert channel.receive(10, PATIENCE) == b"up\n"
        connection.close()
        connection.connect()
        ask = f"echo alive >{folder}/in; cat {folder}/out"  # hangs if nobody is there
        assert connection.run(ask, timeout=PATIENCE).stdout == b"alive\n"
