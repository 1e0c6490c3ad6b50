"""How long a machine of a pool waits between the end of a test and the start of the next, as its tests note it."""

import statistics
from collections.abc import Callable, Sequence

from benchmarks.machines import light_hosts
from benchmarks.peers.environment import if_available
from benchmarks.pools import atex, gaps, older_atex, run_pool, timed
from benchmarks.rounds import side_by_side, start
from benchmarks.table import Row, print_table
from tests.machines import LightHost

SIZES = ((10, 1, 10), (100, 10, 4))  # machines, seconds that a test sleeps, tests for each machine


def main() -> None:
    """Measure all, and print a table for each size."""
    rounds = start(__doc__)
    with light_hosts(max(size[0] for size in SIZES)) as hosts:
        for machines, seconds, each in SIZES:
            rows = _measure(hosts[:machines], seconds, each, rounds)
            print_table(
                f"Between two tests of a machine, of {machines}, {seconds} s each", "ms", rows
            )


def _measure(hosts: Sequence[LightHost], seconds: int, each: int, rounds: int) -> list[Row]:
    tests = {f"{n:04}": timed(f"sleep {seconds}") for n in range(each * len(hosts))}

    def measure(command: Sequence[str]) -> float:
        spans = run_pool(command, hosts, tests)
        return statistics.median(gap for machine in spans for gap in gaps(machine)) * 1000

    subjects: dict[str, Callable[[], float]] = {"ATEX": lambda: measure(atex())}
    with if_available():
        command = older_atex()
        subjects["older atex 1.2"] = lambda: measure(command)
    return side_by_side(subjects, rounds)


if __name__ == "__main__":
    main()
