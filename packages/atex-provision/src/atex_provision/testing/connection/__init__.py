"""What every connection keeps, whatever it is made of."""

from collections.abc import Callable, Iterator

import pytest

from atex_provision.connection.base import Connection
from atex_provision.testing.connection.channels import Channels
from atex_provision.testing.connection.commands import Commands
from atex_provision.testing.connection.ends import Ends
from atex_provision.testing.connection.files import Files
from atex_provision.testing.connection.losses import Losses
from atex_provision.testing.suite import to_be_written


class ConnectionSuite(Commands, Channels, Ends, Losses, Files):
    """The contract of `Connection` and `Channel`. The machine needs a POSIX shell.

    A subclass writes the fixture `new_connection`, and `lose`, or says in `cannot` why not.
    """

    __test__ = False
    points = frozenset({"be lost"})

    @pytest.fixture
    def new_connection(self) -> Callable[[], Connection]:
        """Makes a connection that is not connected yet, always to the same machine."""
        raise to_be_written(self, "new_connection", "a callable that makes a Connection")

    @pytest.fixture
    def lose(self) -> Callable[[], None]:
        """Breaks the connections that there are, as a network does: not by close(). New ones can
        be made afterwards.
        """
        raise to_be_written(
            self, "lose", 'a callable that breaks connections; or else cannot = {"be lost": REASON}'
        )

    @pytest.fixture
    def connection(self, new_connection: Callable[[], Connection]) -> Iterator[Connection]:
        """Connected; closed after the test."""
        with new_connection() as connection:
            yield connection

    @pytest.fixture
    def folder(self, new_connection: Callable[[], Connection]) -> Iterator[str]:
        """An empty folder on the machine; removed after the test."""
        with new_connection() as connection:
            made = connection.run("mktemp -d").stdout.decode().strip()
            assert made.startswith("/"), "mktemp -d has made no folder"
            yield made
            connection.connect()  # the test may have lost it
            connection.run(f"rm -rf {made}")

    @pytest.fixture
    def stuck(self, folder: str, new_connection: Callable[[], Connection]) -> Iterator[str]:
        """A command that neither reads nor writes nor ends; killed after the test, for closing a
        channel does not kill what runs on another machine.
        """
        yield f"echo $$ >>{folder}/pids; exec sleep 1000"
        with new_connection() as connection:
            connection.run(f"kill -9 $(cat {folder}/pids)")
