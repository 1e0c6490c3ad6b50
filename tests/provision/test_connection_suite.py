"""The connection suite, against each kind of connection."""

from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest
from atex_provision import Connection, LocalConnection
from atex_provision.testing import ConnectionSuite

from tests.machines import Sshd, sshd_missing
from tests.machines.login import ssh_to


class TestLocal(ConnectionSuite):
    cannot: ClassVar = {
        "be lost": "nothing that may break is between this process and its children"
    }

    @pytest.fixture
    def new_connection(self) -> Callable[[], Connection]:
        return LocalConnection


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    """One for all tests, none of which changes it."""
    if reason := sshd_missing():
        pytest.skip(reason)
    with Sshd() as server:
        yield server


class TestSsh(ConnectionSuite):
    @pytest.fixture
    def new_connection(self, server: Sshd) -> Callable[[], Connection]:
        return lambda: ssh_to(server)

    @pytest.fixture
    def lose(self, server: Sshd) -> Callable[[], None]:
        return server.kill_sessions
