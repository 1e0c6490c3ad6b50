"""What the agent asks the kernel for, where it is there to be had."""

import os
import signal
from pathlib import Path

import pytest
from atex_sut_agent.protocol import Cancel
from atex_sut_agent.sut import kernel

from tests.sut_agent.driver import Agent, is_alive

WITHOUT_CTYPES = """\
import sys
sys.modules["ctypes"] = None
from sut import bridge, settings
bridge.attach(sys.argv[2], sys.argv[3], sys.argv[1], settings.Settings(sys.argv[4]))
"""


def test_without_ctypes_it_goes_on_and_says_so(agent: Agent) -> None:
    host = agent.attach_by_source(WITHOUT_CTYPES)
    assert host.hello.missing == ("ctypes",)
    assert host.run("sleep 1000 & exit 7").exited.exit_code == 7


def test_without_ctypes_what_has_left_the_session_is_out_of_reach(agent: Agent) -> None:
    """It is nobody's child then; the session dies all the same."""
    host = agent.attach_by_source(WITHOUT_CTYPES)
    stray = "(echo $BASHPID >stray; echo up; exec sleep 1000 >/dev/null 2>&1 3>&-) &"
    run = host.start(f"sleep 1000 & echo $! >mine; setsid bash -c '{stray}'; sleep 1000")
    host.wait_for_output(run, b"up\n")
    host.send(Cancel(run=run, grace=0))
    exited = host.wait(run).exited
    stray_pid, mine = (int(Path(host.hello.folder, name).read_text()) for name in ("stray", "mine"))
    assert (exited.ended_by, exited.left_behind) == ("cancel", 0)
    assert not is_alive(mine)
    assert is_alive(stray_pid)
    os.kill(stray_pid, signal.SIGKILL)


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
