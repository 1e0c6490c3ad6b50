"""Connections that break."""

import time
from collections.abc import Callable

import pytest

from atex_provision.connection.base import Connection
from atex_provision.errors import ConnectionLost
from atex_provision.testing.connection.ends import WAITING_CALLS
from atex_provision.testing.suite import Suite, able_to
from atex_provision.testing.waits import PATIENCE, Background

NOTICED = 5.0  # seconds; a connection that is said to be at its end is no matter of keepalives


class Losses(Suite):
    """A loss is told from an end."""

    __test__ = False

    @able_to("be lost")
    @pytest.mark.parametrize("call", WAITING_CALLS)
    def test_a_loss_wakes_who_waits(
        self, connection: Connection, stuck: str, lose: Callable[[], None], call: str
    ) -> None:
        with connection.open(stuck) as channel:
            waiter = Background(lambda: WAITING_CALLS[call](channel))
            assert not waiter.ended(0.05)
            started = time.monotonic()
            lose()
            with pytest.raises(ConnectionLost) as caught:
                waiter.result()
            assert time.monotonic() - started < NOTICED
            assert connection.name in str(caught.value)

    @able_to("be lost")
    def test_a_lost_connection_may_be_connected_again(
        self, connection: Connection, stuck: str, lose: Callable[[], None]
    ) -> None:
        for _ in range(2):
            with connection.open(stuck) as channel:
                lose()
                with pytest.raises(ConnectionLost):
                    channel.receive(1, PATIENCE)
                with pytest.raises(ConnectionLost):
                    connection.run("true")
            connection.connect()
            assert connection.run("echo again").stdout == b"again\n"

    @able_to("be lost")
    def test_half_an_answer_is_a_loss(
        self, connection: Connection, stuck: str, lose: Callable[[], None]
    ) -> None:
        """It does not look like the end of the output."""
        with connection.open(f"echo half; {stuck}") as channel:
            assert channel.receive(100, PATIENCE) == b"half\n"
            lose()
            with pytest.raises(ConnectionLost):
                channel.receive(100, PATIENCE)
            with pytest.raises(ConnectionLost):
                channel.wait(PATIENCE)
