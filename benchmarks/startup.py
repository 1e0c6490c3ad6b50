"""How large the agent's archive is, and how long an agent takes from the command that starts it to its hello.

On this machine, with each Python 3 that it has, the first time that the machine sees it: the archive is sent as well.
The reference is that Python 3.11 starts and does nothing.
"""

import subprocess
import time
from collections.abc import Callable
from functools import partial

from atex_sut_agent import agent_archive

from benchmarks.rounds import side_by_side, start
from benchmarks.table import print_table
from tests.plugins.pythons import OLDEST, find_python
from tests.sut_agent.driver import Agent

NEWEST = 20  # the minor version where to stop looking
REFERENCE = 11


def main() -> None:
    """Measure all, and print size and table."""
    rounds = start(__doc__)
    pythons = {minor: find_python(minor) for minor in range(OLDEST, NEWEST)}
    subjects: dict[str, Callable[[], float]] = {
        f"agent, Python 3.{minor}": partial(_hello, python)
        for minor, python in pythons.items()
        if python is not None
    }
    reference = pythons[REFERENCE]
    if reference is None:
        raise SystemExit(f"there is no Python 3.{REFERENCE} here to compare with")
    subjects[f"Python 3.{REFERENCE} alone"] = partial(_nothing, reference)
    rows = side_by_side(subjects, rounds)
    size = len(agent_archive().data) / 1024
    print_table(f"From command to hello, with an archive of {size:.1f} KiB", "ms", rows)


def _hello(python: str) -> float:
    """Milliseconds until a new agent has said hello."""
    with Agent(python) as agent:
        started = time.perf_counter()
        host = agent.attach()
        milliseconds = (time.perf_counter() - started) * 1000
        host.end()
    return milliseconds


def _nothing(python: str) -> float:
    """Milliseconds until an interpreter that has nothing to do has ended."""
    started = time.perf_counter()
    subprocess.run([python, "-IS", "-c", "pass"], check=True)
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
