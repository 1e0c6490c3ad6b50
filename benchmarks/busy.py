"""How busy 8 machines are with 40 sleeping tests of known durations, and when the last of them is done.

A machine's busy share: what its tests took, of the time between the start of its first and the end of its last one. The
least time in which all can be done is what they take together, divided among machines of which each is there when it
starts its first test.
"""

import random
from collections.abc import Mapping, Sequence
from functools import partial

from benchmarks.machines import light_hosts
from benchmarks.peers.environment import if_available
from benchmarks.pools import Spans, atex, older_atex, run_pool, timed
from benchmarks.rounds import side_by_side, start
from benchmarks.table import Row, print_table
from tests.machines import LightHost

MACHINES = 8
TESTS = 40


def main() -> None:
    """Measure all, and print the tables."""
    number = start(__doc__)
    seconds = _durations()
    tests = {f"{n:02}": timed(f"sleep {time}") for n, time in enumerate(seconds)}
    commands = {
        "pool, longest first": atex("longest"),
        "pool, plan order": atex("plan"),
        "N/M slices": atex("slices"),
    }
    with if_available():
        commands["older atex 1.2"] = older_atex()
    shares: dict[str, list[float]] = {subject: [] for subject in commands}
    with light_hosts(MACHINES) as hosts:
        run_pool(
            commands["pool, plan order"], hosts, tests
        )  # from now on their durations are known
        rows = _measure(commands, hosts, tests, shares, number)
    print_table(
        f"{TESTS} tests on {MACHINES} machines, until all are done",
        "times the least",
        [*rows, Row("the least", [1.0] * number)],
    )
    print_table(
        "Busy share of the machine that is the least busy",
        "%",
        [*(Row(*item) for item in shares.items()), Row("all of the time", [100.0] * number)],
    )


def _durations() -> list[float]:
    """Seconds, lognormal as those of tests are, the same each time."""
    chance = random.Random(7)
    return [round(min(8.0, max(0.3, chance.lognormvariate(0.3, 0.9))), 1) for _ in range(TESTS)]


def _measure(
    commands: Mapping[str, Sequence[str]],
    hosts: Sequence[LightHost],
    tests: Mapping[str, str],
    shares: Mapping[str, list[float]],
    rounds: int,
) -> list[Row]:
    """Return how long each way took; the least share of each round is added to `shares`."""

    def measure(subject: str) -> float:
        spans = run_pool(commands[subject], hosts, tests)
        shares[subject].append(min(map(_busy, spans)))
        return _times_the_least(spans)

    return side_by_side({subject: partial(measure, subject) for subject in commands}, rounds)


def _times_the_least(spans: Sequence[Spans]) -> float:
    """Return how much longer than the least time it took, from the first start of a test to the last end."""
    begun = [machine[0][0] for machine in spans]
    took = [end - begin for machine in spans for begin, end in machine]
    late = sum(begun) - len(begun) * min(begun)
    least = max(*took, (sum(took) + late) / len(spans))
    return (max(machine[-1][1] for machine in spans) - min(begun)) / least


def _busy(spans: Spans) -> float:
    """Return the busy share of a machine, in percent."""
    return 100 * sum(end - begin for begin, end in spans) / (spans[-1][1] - spans[0][0])


if __name__ == "__main__":
    main()
