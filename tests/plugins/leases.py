"""Each test has a state folder of its own (XDG_STATE_HOME), and leaves no lease in it: the fixture `own_state`, which
every test gets.

A test that takes HOME for a new one (`own_home`) has its state below that. A test that leaves leases on purpose, for it
kills the process that has them, says so: `@pytest.mark.leaves_leases`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "leaves_leases: the test may leave leases in the journal")


@pytest.fixture(autouse=True)
def own_state(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    before = _leases(tmp_path)  # in the home of whoever runs the tests
    yield
    left = sorted(_leases(tmp_path) - before)
    if left and request.node.get_closest_marker("leaves_leases") is None:
        pytest.fail("\n".join(f"the test left a lease: {file}" for file in left), pytrace=False)


def _leases(folder: Path) -> set[Path]:
    homes = [folder / "state", Path(os.environ.get("HOME", "/")) / ".local/state"]
    return {file for home in homes for file in home.glob("atex/leases/*.json")}
