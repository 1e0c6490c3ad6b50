"""Every test has a state folder of its own, and leaves no lease in it (tests/plugins/leases.py)."""

from pathlib import Path

import pytest

from tests.workspace.conftest import InnerPytest

TESTS = """
import os
from pathlib import Path

import pytest


def leave(state):
    folder = state / "atex/leases"
    folder.mkdir(parents=True)
    (folder / "podman-123456.json").touch()


def test_in_the_state_folder():
    leave(Path(os.environ["XDG_STATE_HOME"]))


def test_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME")
    leave(tmp_path / ".local/state")


@pytest.mark.leaves_leases
def test_on_purpose():
    leave(Path(os.environ["XDG_STATE_HOME"]))


def test_clean():
    assert not Path(os.environ["XDG_STATE_HOME"]).exists()
"""


def test_a_lease_that_is_left_fails_the_test(inner_pytest: InnerPytest) -> None:
    result = inner_pytest(TESTS, plugins=["tests.plugins.leases"])
    result.assert_outcomes(passed=4, errors=2)
    result.stdout.re_match_lines_random(
        [
            r"the test left a lease: .*/state/atex/leases/podman-123456\.json",
            r"the test left a lease: .*/\.local/state/atex/leases/podman-123456\.json",
        ]
    )


CLEAN = """
def test_clean():
    pass
"""


def test_the_leases_of_whoever_runs_the_tests_are_no_matter(
    inner_pytest: InnerPytest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "home/.local/state/atex/leases"
    folder.mkdir(parents=True)
    lease = folder / "podman-123456.json"
    lease.touch()
    inner_pytest(CLEAN, plugins=["tests.plugins.leases"]).assert_outcomes(passed=1)
    lease.unlink()
