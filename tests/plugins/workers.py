"""How the workers of xdist share the tests: `-n auto` is two for each core, for most tests wait more than they compute.

Each begins with a part of its own, so that what a module's tests share is made once or twice, and in the end takes
over from who is slower.
"""

import os

import pytest

PER_CORE = 2


def pytest_xdist_auto_num_workers() -> int:
    return PER_CORE * len(os.sched_getaffinity(0))


@pytest.hookimpl(tryfirst=True)  # before xdist, which knows another way as usual
def pytest_cmdline_main(config: pytest.Config) -> None:
    if config.option.numprocesses and config.option.dist == "no":
        config.option.dist = "worksteal"
