"""A machine that somebody else uses: waited for, or taken over."""

from pathlib import Path

import pytest
from atex_executor import Executor, MachineBusy, Times
from atex_provision import LocalConnection

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


def test_it_is_told_who_has_the_machine(owner: Owner, tree: Path, work: str) -> None:
    with pytest.raises(MachineBusy, match=r"local: .*process \d+.*/test"):
        newcomer(tree, work, times=Times(patience=0.2)).start()


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
