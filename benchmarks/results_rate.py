"""How many small results a second one test can send, from the order to its final record in results.jsonl.

The reference is a raw copy of such lines: `ssh -S socket host cat`, so to speak, into a file.
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from atex_executor import Executor, FolderSink
from atex_fmf import Test, discover

from benchmarks.machines import light_hosts
from benchmarks.openssh import MultiplexedSsh
from benchmarks.peers.environment import if_available
from benchmarks.peers.process import older_atex
from benchmarks.rounds import side_by_side, start
from benchmarks.table import print_table
from benchmarks.trees import write_tree
from tests.machines import LightHost
from tests.machines.login import ssh_to

RESULTS = 1_000_000
OLDER_RESULTS = 100_000  # it would take half a minute for all


def main() -> None:
    """Measure all, and print the table."""
    rounds = start(__doc__)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (host,) = stack.enter_context(light_hosts(1))
        scripts = {
            "inline": f"python3 send.py {RESULTS} inline",
            "sized": f"python3 send.py {OLDER_RESULTS} sized",
        }
        tree = write_tree(folder / "tree", scripts)
        ssh = stack.enter_context(MultiplexedSsh(host, folder))
        subjects = {"ATEX": stack.enter_context(_atex(host, tree, folder))}
        with if_available():
            older = stack.enter_context(older_atex(host, tree, folder / "older-atex"))
            subjects["older atex 1.2"] = lambda: OLDER_RESULTS / older.ask("/sized 1")
        subjects["raw copy"] = lambda: _copy(ssh, folder / "copy")
        rows = side_by_side(subjects, rounds)
    print_table("One test that sends results, over ssh", "results a second", rows)


@contextmanager
def _atex(host: LightHost, tree: Path, folder: Path) -> Iterator[Callable[[], float]]:
    suite = discover(tree, tests=["/inline"])
    with ssh_to(host) as connection, Executor(connection, suite) as executor:
        runs = (folder / f"run-{number}" for number in itertools.count(1))
        yield lambda: _send(executor, suite.tests[0], next(runs))


def _send(executor: Executor, test: Test, run: Path) -> float:
    """Return the results a second of a run into the folder `run`; its results are checked and removed."""
    with FolderSink(run) as sink:
        started = time.perf_counter()
        outcome = executor.run(test, sink)
        seconds = time.perf_counter() - started
    results = run / "results.jsonl"
    with results.open("rb") as lines:
        count = sum(1 for _ in lines)
    results.unlink()
    if outcome.status != "pass" or count != RESULTS + 1:
        raise RuntimeError(f"{count} lines, {outcome}")
    return RESULTS / seconds


def _copy(ssh: MultiplexedSsh, target: Path) -> float:
    line = 'result {"name": "call/500000", "status": "pass"}'
    with target.open("wb") as copy:
        started = time.perf_counter()
        ssh.run(f"yes '{line}' | head -n {RESULTS}", copy)
        return RESULTS / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
