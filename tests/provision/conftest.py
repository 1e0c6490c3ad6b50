"""What the tests of atex-provision share: every kind of connection, and a home without secrets."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from atex_provision import Connection, LocalConnection, SshConnection

from tests.machines import Sshd
from tests.machines.login import ssh_to

Connect = Callable[[Sshd], SshConnection]


@pytest.fixture(autouse=True)
def home(own_home: Path) -> Path:
    """No test reads or writes the files of whoever runs it."""
    return own_home


def say(home: Path, config: str) -> None:
    """Writes ~/.ssh/config."""
    (home / ".ssh").mkdir(exist_ok=True)
    (home / ".ssh/config").write_text(config)


@pytest.fixture
def connect() -> Iterator[Connect]:
    """`connect(sshd)`: a connection to it, closed after the test."""
    with ExitStack() as stack:

        def connect(server: Sshd) -> SshConnection:
            connection = ssh_to(server)
            stack.callback(connection.close)
            connection.connect()
            return connection

        yield connect


@pytest.fixture(params=["local", "ssh"])
def connection(request: pytest.FixtureRequest, connect: Connect) -> Iterator[Connection]:
    """A connection of each kind, connected."""
    if request.param == "ssh":
        yield connect(request.getfixturevalue("sshd"))
        return
    with LocalConnection() as local:
        yield local
