"""What the agent asks the kernel for, where it is there to be had."""

from pathlib import Path

import pytest
from atex_sut_agent.sut import kernel

from tests.sut_agent.driver import Agent

WITHOUT_CTYPES = """\
import sys
sys.modules["ctypes"] = None
sys.path.insert(0, sys.argv[1])
from sut import bridge, settings
bridge.attach(sys.argv[2], sys.argv[3], sys.argv[1], settings.Settings(sys.argv[4]))
"""


def test_without_ctypes_it_goes_on_and_says_so(agent: Agent) -> None:
    host = agent.attach_by_source(WITHOUT_CTYPES)
    assert host.hello.missing == ("ctypes",)
    assert host.run("sleep 1000 & exit 7").exited.exit_code == 7


def test_when_memory_runs_out_it_is_the_last_one_to_be_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In files of our own: lowering a score takes a capability that containers do not have."""
    monkeypatch.setattr(kernel, "_OOM_SCORE", f"{tmp_path}/{{}}")
    (tmp_path / "self").write_text("200\n")
    (tmp_path / "42").write_text("-1000")  # of a child, inherited
    protection = kernel.OomProtection()
    protection.lift(42)
    assert [(tmp_path / name).read_text() for name in ("self", "42")] == ["-1000", "200\n"]


def test_who_may_not_lower_its_score_leaves_that_of_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "_OOM_SCORE", f"{tmp_path}/{{}}")
    kernel.OomProtection().lift(42)
    assert list(tmp_path.iterdir()) == []
