"""How the agent's tests reach their agents: on this machine, or with `--over-ssh` through a real sshd.

With `--over-ssh`, tests that reach no agent by a login are left out: they would be the same again.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machines import Sshd, sshd_missing

_OPTIONS = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--over-ssh", action="store_true", help="start agents through an sshd on this machine"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("over_ssh"):
        return
    reaching: dict[bool, list[pytest.Item]] = {True: [], False: []}
    for item in items:
        reaching["login" in getattr(item, "fixturenames", ())].append(item)
    items[:] = reaching[True]
    config.hook.pytest_deselected(items=reaching[False])


@pytest.fixture(scope="session")
def login(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """The beginning of a command line whose last word is run by a shell over there; empty: it is here."""
    if not request.config.getoption("over_ssh"):
        yield []
        return
    if reason := sshd_missing():
        pytest.skip(reason)
    with Sshd() as server, tempfile.TemporaryDirectory(prefix="atex-ssh-") as folder:
        options = [f"-o{option}" for option in _OPTIONS]
        target = ["-p", str(server.port), f"{server.user}@{server.address}"]
        master = ["ssh", "-F", "none", "-S", str(Path(folder, "socket"))]
        start = [*master, *options, "-i", str(server.identity), "-M", "-f", "-N", *target]
        subprocess.run(start, check=True, stdin=subprocess.DEVNULL, timeout=30)
        yield [*master, *target]
        subprocess.run([*master, "-q", "-O", "exit", *target], check=True, timeout=30)
