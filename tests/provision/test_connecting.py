"""Connecting to a machine that may still be booting."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from atex_provision import (
    Aborted,
    CannotConnect,
    ConnectionRefused,
    HostKeyChanged,
    LeaseJournal,
    LocalConnection,
    LoginRejected,
)
from atex_provision.connection.base import Completed
from atex_provision.errors import ConnectionLost, ConnectTimeout
from atex_provision.provisioner import connecting
from atex_provision.provisioner.connecting import connect_to

from tests.provision.service import Served, Service
from tests.waits import Background, eventually


class Booting(LocalConnection):
    """Fails as it is told, and then no more."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = list(failures)
        self.attempts = 0

    def connect(self) -> None:
        self.attempts += 1
        if self.failures:
            raise self.failures.pop(0)
        super().connect()


class Mute(LocalConnection):
    """Logs in, and runs no commands."""

    def run(self, command: str, *, stdin: bytes = b"", timeout: float = 60.0) -> Completed:
        raise TimeoutError(f"not done after {timeout:g} seconds")


def connect(connection: LocalConnection, boot_time: float) -> list[float]:
    """How long it paused; the pauses take no time."""
    pauses: list[float] = []
    connect_to(connection, boot_time=boot_time, again=lambda why, seconds: pauses.append(seconds))
    connection.close()
    return pauses


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still unless it is changed."""
    now = [0.0]
    monkeypatch.setattr(connecting, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_a_machine_that_is_up_is_connected_to_once() -> None:
    connection = Booting()
    assert connect(connection, 0) == []
    assert connection.attempts == 1


@pytest.mark.parametrize(
    "error", [ConnectionRefused, ConnectTimeout, LoginRejected, ConnectionLost]
)
def test_without_a_time_for_booting_there_is_one_attempt(
    error: Callable[[str], Exception],
) -> None:
    connection = Booting(error("no"))
    with pytest.raises((CannotConnect, ConnectionLost)):
        connect(connection, 0)
    assert connection.attempts == 1


@pytest.mark.usefixtures("now")
def test_while_it_boots_it_is_tried_again() -> None:
    failures = [ConnectionRefused("no"), LoginRejected("not yet"), ConnectionLost("again")]
    assert connect(Booting(*failures, *failures), 60) == [1, 2, 4, 8, 10, 10]


def test_the_last_error_is_the_one_that_counts(now: list[float]) -> None:
    connection = Booting(*(LoginRejected(f"attempt {n}") for n in range(10)))

    def again(why: str, seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(LoginRejected, match="attempt 4"):
        connect_to(connection, boot_time=20, again=again)


def test_what_will_not_get_better_is_not_tried_again() -> None:
    connection = Booting(HostKeyChanged("another key"))
    with pytest.raises(HostKeyChanged):
        connect(connection, 60)
    assert connection.attempts == 1


def test_a_machine_that_runs_no_commands() -> None:
    with pytest.raises(ConnectTimeout, match="local: logged in, but it runs no commands"):
        connect(Mute(), 0)


def test_abort_cuts_the_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "FIRST_PAUSE", 600.0)

    class Slow(Served):
        boot_time = 1000.0

    said: list[str] = []
    connection = Booting(ConnectionRefused("refused"))
    provisioner = Slow(Service(tmp_path), connection=lambda: connection)
    provisioner.on_progress = lambda moment, words: said.append(f"{moment}: {words}")
    reserving = Background(provisioner.reserve)
    eventually(lambda: "boot: refused; trying again in 600 s" in said)
    provisioner.abort()
    with pytest.raises(Aborted):
        reserving.result()
    assert LeaseJournal().leases() == []
