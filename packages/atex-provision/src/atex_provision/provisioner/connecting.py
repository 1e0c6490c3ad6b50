"""What provisioners have in common whose machines are there already and need only be connected to.

Guarantee: when abort() or release() returns, nothing is held, unless a connection takes more than 5
seconds to give up.

`_changed`, a condition, guards `_started`, `_connection`, `_connecting` and `_machine`; nobody does
I/O while holding it. `_over` is set once and never cleared.
"""

import threading
import time

from atex_provision.connection.base import Connection
from atex_provision.errors import Aborted, ConnectTimeout, ProvisionError
from atex_provision.facts import read_facts
from atex_provision.machine import Machine
from atex_provision.provisioner.base import Provisioner

ABORT_TIME = 5.0  # seconds
AGAIN = 0.1  # seconds
ALIVE_TIME = 10.0  # seconds


class ConnectingProvisioner(Provisioner):
    """Connects, asks for facts, and closes the connection at the end.

    A subclass writes reserve() with `_begin()` and `_connect()`, and frees what else it holds in
    `_give_back()`.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._started = False
        self._connecting = False
        self._connection: Connection | None = None
        self._machine: Machine | None = None

    def abort(self) -> None:
        self._end()

    def release(self) -> None:
        self._end()

    def alive(self) -> bool:
        with self._changed:
            machine = self._machine
        if machine is None or self._over.is_set():
            return False
        try:
            return machine.connection.run("true", timeout=ALIVE_TIME).exit_code == 0
        except (ProvisionError, TimeoutError):
            return False

    def _begin(self) -> None:
        """Raises Aborted if it is over already."""
        with self._changed:
            if self._started and not self._over.is_set():
                raise ProvisionError(
                    "a provisioner reserves one machine, once; make another one for another machine"
                )
            self._started = True
        self._check_over()

    def _check_over(self) -> None:
        if self._over.is_set():
            raise Aborted("the reservation was aborted")

    def _connect(
        self, connection: Connection, name: str, *, python: str | None = None, slot: str = "0"
    ) -> Machine:
        """The machine at the end of `connection`. Raises CannotConnect, ConnectionLost, Aborted;
        then it is closed.
        """
        with self._changed:
            self._check_over()
            self._connection, self._connecting = connection, True
        try:
            connection.connect()
            machine = Machine(
                name=name,
                connection=connection,
                facts=read_facts(connection),
                python=python,
                slot=slot,
            )
            with self._changed:
                self._check_over()
                self._machine = machine
            return machine
        except BaseException as error:
            connection.close()
            self._check_over()
            if isinstance(error, TimeoutError):
                raise ConnectTimeout(
                    f"{name}: logged in, but it runs no commands: {error}"
                ) from error
            raise
        finally:
            with self._changed:
                self._connecting = False
                self._changed.notify_all()

    def _end(self) -> None:
        self._over.set()
        deadline = time.monotonic() + ABORT_TIME
        with self._changed:
            connection = self._connection
        if connection is not None:
            connection.close()
            # close() may have come a moment before connect(), which then knows nothing of it.
            while self._still_connecting() and time.monotonic() < deadline:
                connection.close()
        self._give_back()

    def _still_connecting(self) -> bool:
        """Whether reserve() has not let go of the connection, after a moment for that."""
        with self._changed:
            return not self._changed.wait_for(lambda: not self._connecting, AGAIN)

    def _give_back(self) -> None:
        """Frees what is held besides the connection. Called any number of times, by any thread."""
