"""`@pytest.mark.needs("ssh-agent")`: a command that the test runs, and without which it is skipped."""

import shutil

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(*commands): skips the test where a command is missing"
    )


@pytest.hookimpl(tryfirst=True)  # before fixtures, which may run the command
def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for command in mark.args:
            if shutil.which(command) is None:
                pytest.skip(f"no {command} here (scripts/test installs it, when run by root)")
