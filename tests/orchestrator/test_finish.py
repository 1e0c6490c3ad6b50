"""How long `finish` may take, and what it costs when it fails. Where it runs: tests/cli/test_finish.py."""

from pathlib import Path

import pytest
from atex_fmf import Phase, Plan, Suite, Test
from atex_orchestrator import Orchestrator, Summary, holdings
from atex_orchestrator.events import Event, TestFinished, TestStarted
from atex_provision import LocalProvisioner


def run(
    tmp_path: Path,
    finish: str,
    *,
    test: str = "true",
    stop_at: type[TestStarted | TestFinished] | None = None,
) -> Summary:
    """Run a test and a finish phase; stop the run at an event of that kind."""

    def listen(event: Event) -> None:
        if stop_at is not None and isinstance(event, stop_at):
            orchestrator.abort("enough")

    (tmp_path / "tree").mkdir()
    plan = Plan(finish=(Phase(name="clean", how="shell", script=(finish,)),))
    suite = Suite(root=str(tmp_path / "tree"), tests=(Test(name="/a", test=test),), plan=plan)
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.subscribe(listen)
    orchestrator.add_platform("p", suite)
    orchestrator.add_provisioner(LocalProvisioner, platform="p")
    return orchestrator.run()


def test_one_that_fails_costs_no_verdict(tmp_path: Path) -> None:
    summary = run(tmp_path, "echo no; exit 3")
    assert summary.counts == {"pass": 1}
    [trouble] = summary.troubles
    assert (trouble.during, trouble.tail) == ("finish", ("no",))
    assert trouble.reason == "local: finish phase 'clean' failed: exit code 3"


@pytest.mark.parametrize("stop_at", [TestStarted, TestFinished])
def test_it_has_a_minute_when_the_run_is_stopped(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at: type[TestStarted | TestFinished],
) -> None:
    """Whether the run is stopped during the test or after it, when finish has begun."""
    assert holdings.STOPPED_FINISH_LIMIT == 60.0
    monkeypatch.setattr(holdings, "STOPPED_FINISH_LIMIT", 0.5)
    summary = run(tmp_path, "echo begun; sleep 60", test="sleep 0.2", stop_at=stop_at)
    [trouble] = summary.troubles
    assert (trouble.during, trouble.tail) == ("finish", ("begun",))
    assert summary.left == {}
