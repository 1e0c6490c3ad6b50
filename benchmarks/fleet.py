"""How long one process takes to have its agent ready on 100 machines that it has never met, and how much memory."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.machines import light_hosts
from benchmarks.rounds import side_by_side, start
from benchmarks.table import Row, print_table
from tests.machines import LightHost

LIMIT = 120  # seconds
MACHINES = 100
REPOSITORY = Path(__file__).resolve().parent.parent
OPTIONS = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")


def main() -> None:
    """Measure, and print the tables."""
    rounds = start(__doc__)
    resident: dict[str, list[float]] = {"all agents ready": [], "before the first": []}
    with light_hosts(MACHINES) as hosts:
        subjects = {
            "ATEX, agent ready": lambda: _agents_ready(hosts, resident),
            "`ssh host true`, one after another": lambda: _one_after_another(hosts),
            "`ssh host true`, all at once": lambda: _all_at_once(hosts),
        }
        rows = side_by_side(subjects, rounds)
    print_table(f"{MACHINES} machines from nothing", "s", rows)
    print_table(
        f"{MACHINES} machines ready, resident", "MiB", [Row(*item) for item in resident.items()]
    )


def _agents_ready(hosts: Sequence[LightHost], resident: dict[str, list[float]]) -> float:
    """From the start of the process to its line. Host keys are met for the first time each round."""
    Path(os.environ["XDG_STATE_HOME"], "atex/known_hosts").unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.ready_machines", str(hosts[0].identity)]
    began = time.monotonic()
    with subprocess.Popen(
        [*command, *(host.address for host in hosts)],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.monotonic() - began
        if process.wait(LIMIT) or not line:
            raise SystemExit("the process has failed")
    for sizes, size in zip(resident.values(), line.split(), strict=True):
        sizes.append(float(size))
    return seconds


def _one_after_another(hosts: Sequence[LightHost]) -> float:
    began = time.monotonic()
    for host in hosts:
        subprocess.run(_ssh(host), stdin=subprocess.DEVNULL, timeout=LIMIT, check=True)
    return time.monotonic() - began


def _all_at_once(hosts: Sequence[LightHost]) -> float:
    began = time.monotonic()
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen(_ssh(host), stdin=subprocess.DEVNULL))
            for host in hosts
        ]
        if any(process.wait(LIMIT) for process in processes):
            raise SystemExit("an ssh has failed")
    return time.monotonic() - began


def _ssh(host: LightHost) -> list[str]:
    options = [f"-o{option}" for option in OPTIONS]
    return ["ssh", "-i", str(host.identity), *options, f"{host.user}@{host.address}", "true"]


if __name__ == "__main__":
    main()
