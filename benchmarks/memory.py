"""How much memory `atex run` takes on the quickstart, and what each further idle ssh machine adds."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.idle_machines import KINDS
from benchmarks.machines import light_hosts
from benchmarks.rounds import side_by_side, start
from benchmarks.table import print_table
from tests.machines import LightHost

LIMIT = 120  # seconds for one process
MACHINES = 20
REPOSITORY = Path(__file__).resolve().parent.parent
ATEX = Path(sys.executable).with_name("atex")

# With what a user has: compiled modules, from the first measurement on.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}


def main() -> None:
    """Measure both, and print the tables."""
    rounds = start(__doc__)
    imports = [sys.executable, "-c", "import click, fmf, msgspec, paramiko"]
    subjects: dict[str, Callable[[], float]] = {
        "atex run": _quickstart,
        "its libraries, imported": lambda: _peak_of(imports),
    }
    side_by_side(subjects, 1)  # which compiles what is not compiled yet
    print_table(
        "`atex run examples/quickstart`, resident at most", "MiB", side_by_side(subjects, rounds)
    )
    with light_hosts(MACHINES) as hosts:
        further = {kind: lambda kind=kind: _further_machine(kind, hosts) for kind in KINDS}
        rows = side_by_side(further, rounds)
    print_table("Each further idle ssh machine, resident", "MiB", rows)


def _quickstart() -> float:
    with tempfile.TemporaryDirectory() as folder:
        tree = str(REPOSITORY / "examples/quickstart")
        run = [str(ATEX), "run", tree, "--on", "local", "--output", f"{folder}/run", "--quiet"]
        return _peak_of(run)


def _peak_of(command: Sequence[str]) -> float:
    """Return what the command had resident at most, in MiB. Raises CalledProcessError where it fails."""
    small = [sys.executable, "-I", "-S", str(Path(__file__).with_name("peak.py")), str(LIMIT)]
    return _number_from([*small, *command]) / 1024


def _further_machine(kind: str, hosts: Sequence[LightHost]) -> float:
    """Return what the second and all later machines add on average, in MiB."""
    identity, addresses = str(hosts[0].identity), [host.address for host in hosts]
    return _number_from(
        [sys.executable, "-m", "benchmarks.idle_machines", kind, identity, *addresses]
    )


def _number_from(command: Sequence[str]) -> float:
    """Return the number that the command prints at its end."""
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=2 * LIMIT,
        check=True,
    )
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
