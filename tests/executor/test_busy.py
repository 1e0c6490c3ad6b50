"""A machine that somebody else uses: waited for, or taken over."""

import getpass
import os
from pathlib import Path

import pytest
from atex_executor import Executor, ExecutorError, MachineBusy, Times
from atex_executor.settings import agent_settings
from atex_provision import Channel, ConnectionLost, LocalConnection

from tests.executor.conftest import Execute, Run, first_test, suite_of
from tests.waits import Background, eventually

Owner = tuple[Executor, Background[object]]


@pytest.fixture
def owner(execute: Execute, run: Run, own_home: Path) -> Owner:
    """An executor whose test runs, on this machine."""
    script = "trap 'echo cleaned; exit 1' INT; echo begun; while :; do sleep 0.05; done"
    executor = execute(LocalConnection(), script, times=Times(patience=1.0))
    running: Background[object] = Background(lambda: executor.run(first_test(executor), run.sink))
    output = run.sink.folder / "files/local/test/@1.1/output.txt"
    eventually(lambda: output.exists() and output.read_bytes())
    return executor, running


def newcomer(tree: Path, work: str, **options: object) -> Executor:
    return Executor(LocalConnection(), suite_of(tree, "true"), work=work, **options)  # type: ignore[arg-type]


def test_it_is_told_who_has_the_machine(
    owner: Owner, tree: Path, work: str, caplog: pytest.LogCaptureFixture
) -> None:
    executor = newcomer(tree, work, times=Times(patience=1.5))
    with pytest.raises(MachineBusy) as raised:
        executor.start()
    words = str(raised.value)
    assert f"local: the machine is in use by '{getpass.getuser()}@" in words
    assert f", process {os.getpid()}' since 20" in words
    assert f"for '/test' (session '{owner[0].session}')" in words
    told = [record.getMessage() for record in caplog.records]
    assert [line for line in told if "waiting for it" in line] == [
        f"{words}; waiting for it up to 1.5s"
    ]
    assert executor.left is None


def test_its_waiting_can_be_cancelled(owner: Owner, tree: Path, work: str) -> None:
    executor = newcomer(tree, work)
    starting = Background(executor.start)
    eventually(lambda: executor._session._approach._waits)
    executor.cancel("enough")
    with pytest.raises(ExecutorError, match="enough"):
        starting.result()
    assert executor.left is None


class CutOnce(LocalConnection):
    """The first channel is cut off, in the middle of the handshake."""

    cut = False

    def open(self, command: str, timeout: float | None = None) -> Channel:
        channel = super().open(command, timeout)
        if not self.cut:
            self.cut = True
            channel.close()
        return channel


def test_nothing_of_it_is_left_where_somebody_else_has_the_machine(
    owner: Owner, tree: Path, work: str
) -> None:
    """It has lost the connection before it was told: so it looks again when it is closed."""
    executor = Executor(CutOnce(), suite_of(tree, "true"), work=work)
    with pytest.raises(ConnectionLost):
        executor.start()
    assert executor.left is None
    assert owner[0].alive


def test_it_waits_until_the_machine_is_free(
    owner: Owner, tree: Path, work: str, caplog: pytest.LogCaptureFixture
) -> None:
    executor = newcomer(tree, work)
    starting = Background(executor.start)
    eventually(lambda: any("process" in record.getMessage() for record in caplog.records))
    assert starting.waiting
    owner[0].close()
    starting.result()
    assert executor.alive
    executor.close()


def test_in_another_slot_it_does_not_wait(owner: Owner, tree: Path, work: str) -> None:
    with newcomer(tree, work, slot="other") as executor:
        assert executor.alive


def test_it_may_take_the_machine_over(owner: Owner, run: Run, tree: Path, work: str) -> None:
    """The test that runs there is ended as at its limit, and only then the newcomer begins."""
    with newcomer(tree, work, take_over=True) as executor:
        assert executor.alive
        output = run.sink.folder / "files/local/test/@1.1/output.txt"
        owner[1].result()
        assert output.read_text() == "begun\ncleaned\n"
    (final,) = run.records()
    assert final["status"] == "infra"
    assert final["note"] == "the agent ended the session: its slot was taken over"
    assert not owner[0].alive


def test_the_name_of_a_slot(monkeypatch: pytest.MonkeyPatch, tree: Path, work: str) -> None:
    monkeypatch.setenv("ATEX_SLOT", "ours")
    assert agent_settings(Times(), slot="7").slot == "ours.7"
    monkeypatch.delenv("ATEX_SLOT")
    assert agent_settings(Times(), slot="7").slot == "7"
    with pytest.raises(ValueError, match="no name of a slot"):
        newcomer(tree, work, slot="a/b")
