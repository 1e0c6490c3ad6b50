"""What a pool of 100 machines takes of the host: memory and threads while each runs test after test, which report ten
results each, and processor time while all machines wait for a long test.
"""

import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.machines import light_hosts
from benchmarks.peers.environment import if_available
from benchmarks.pools import LIMIT, TIMES, atex, older_atex, pool, timed
from benchmarks.rounds import side_by_side, start
from benchmarks.table import Row, print_table
from tests.machines import LightHost
from tests.machines.keeper import descendants

MACHINES = 100
TESTS = 6  # for each machine
IDLE = 30  # seconds that processor time is counted
BEGIN_LIMIT = 240.0  # seconds until all machines have begun

# In the form that also the older atex reads.
REPORT = """\
for n in 0 1 2 3 4 5 6 7 8 9; do
    printf 'result 36\\n{"name": "call/%d", "status": "pass"}' $n >&$ATEX_TEST_CONTROL
done
sleep 1
"""


class _Usage(NamedTuple):
    """What all processes of a pool have at a moment: MiB (proportional shares), threads, seconds, wake-ups."""

    resident: float
    threads: int
    seconds: float
    wakes: int


_NOTHING = _Usage(0.0, 0, 0.0, 0)


def main() -> None:
    """Measure all, and print the tables."""
    rounds = start(__doc__)
    commands = {"ATEX": atex()}
    with if_available():
        commands["older atex 1.2"] = older_atex()
    with light_hosts(MACHINES) as hosts:
        _at_work(commands, hosts, rounds)
        _idle(commands, hosts, rounds)


def _at_work(
    commands: Mapping[str, Sequence[str]], hosts: Sequence[LightHost], rounds: int
) -> None:
    threads: dict[str, list[float]] = {subject: [] for subject in commands}
    tests = {f"{n:04}": timed(REPORT) for n in range(TESTS * MACHINES)}

    def resident(subject: str) -> float:
        with pool(commands[subject], hosts, tests) as process:
            _await_all(hosts)
            usages = []
            # When no test waits any more, machines are let go.
            while process.poll() is None and _begun(hosts) < len(tests):
                usages.append(_usage(process.pid))
                time.sleep(0.5)
            if process.wait(LIMIT):
                raise SystemExit(f"{subject} failed")
        threads[subject].append(max(usage.threads for usage in usages))
        return max(usage.resident for usage in usages)

    subjects = {subject: partial(resident, subject) for subject in commands}
    print_table(f"{MACHINES} machines at work, resident", "MiB", side_by_side(subjects, rounds))
    rows = [Row(*item) for item in threads.items()]
    print_table(f"{MACHINES} machines at work, threads", "threads", rows)


def _idle(commands: Mapping[str, Sequence[str]], hosts: Sequence[LightHost], rounds: int) -> None:
    wakes: dict[str, list[float]] = {subject: [] for subject in commands}
    tests = {f"{n:04}": timed("sleep 1000") for n in range(MACHINES)}

    def percent(subject: str) -> float:
        with pool(commands[subject], hosts, tests) as process:
            _await_all(hosts)
            time.sleep(2)  # what the last start has left to do
            before = _usage(process.pid)
            time.sleep(IDLE)
            after = _usage(process.pid)
            for host in hosts:
                host.run("pkill -x sleep")
            process.wait(LIMIT)
        wakes[subject].append((after.wakes - before.wakes) / IDLE / MACHINES)
        return 100 * (after.seconds - before.seconds) / IDLE / MACHINES

    subjects = {subject: partial(percent, subject) for subject in commands}
    print_table("Processor time of an idle machine", "% of a core", side_by_side(subjects, rounds))
    rows = [Row(*item) for item in wakes.items()]
    print_table("Wake-ups of an idle machine", "a second", rows)


def _await_all(hosts: Sequence[LightHost]) -> None:
    """Return when each host has begun its first test."""
    deadline = time.monotonic() + BEGIN_LIMIT
    while not all((host.folder / TIMES).exists() for host in hosts):
        if time.monotonic() > deadline:
            raise SystemExit("not all machines have begun")
        time.sleep(0.1)


def _begun(hosts: Sequence[LightHost]) -> int:
    """How many tests have begun."""
    return sum(((host.folder / TIMES).read_text().count("\n") + 1) // 2 for host in hosts)


def _usage(ancestor: int) -> _Usage:
    each = [_NOTHING, *(_usage_of(Path("/proc", str(pid))) for pid, _ in descendants(ancestor))]
    return _Usage(*map(sum, zip(*each, strict=True)))


def _usage_of(process: Path) -> _Usage:
    """proc(5); nothing of one that has just ended."""
    try:
        shares = (process / "smaps_rollup").read_text().split("\nPss:")[1].split()[0]
        times = (process / "stat").read_text().rpartition(")")[2].split()
        seconds = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
        tasks = [(task / "status").read_text() for task in (process / "task").iterdir()]
    except (OSError, IndexError):
        return _NOTHING
    wakes = sum(int(task.split("\nvoluntary_ctxt_switches:")[1].split()[0]) for task in tasks)
    return _Usage(int(shares) / 1024, len(tasks), seconds, wakes)


if __name__ == "__main__":
    main()
