"""Connecting to a machine that may still be booting."""

import time
from collections.abc import Callable, Iterator

from atex_provision.connection.base import Connection
from atex_provision.errors import CannotConnect, ConnectionLost, ConnectTimeout
from atex_provision.facts import Facts, read_facts

FIRST_PAUSE = 1.0  # seconds
LONGEST_PAUSE = 10.0  # seconds


def connect_to(
    connection: Connection, *, boot_time: float, again: Callable[[str, float], None]
) -> Facts:
    """Connects, and asks the machine for its facts.

    For `boot_time` seconds whatever fails is tried again, after `again(why, seconds)`, which waits so
    long or raises; what is permanent is not. Raises CannotConnect, ConnectionLost, and what `again`
    raises.
    """
    deadline = time.monotonic() + boot_time
    waits = pauses()
    while True:
        pause = next(waits)
        try:
            return _connect_once(connection)
        except (CannotConnect, ConnectionLost) as error:
            if error.permanent or time.monotonic() + pause > deadline:
                raise
            why = str(error)
        again(why, pause)


def pauses() -> Iterator[float]:
    """Seconds between one look and the next at a machine that is coming up; without end."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


def _connect_once(connection: Connection) -> Facts:
    connection.connect()
    try:
        return read_facts(connection)
    except TimeoutError as error:
        raise ConnectTimeout(
            f"{connection.name}: logged in, but it runs no commands: {error}"
        ) from error
