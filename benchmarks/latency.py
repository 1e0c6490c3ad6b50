"""How long a test takes whose script is `true`, over ssh, one after another: from the order to its final record.

The reference is OpenSSH itself: `ssh -S socket host true` over a connection that is already there.
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from atex_executor import Executor, FolderSink
from atex_fmf import discover

from benchmarks.machines import light_hosts
from benchmarks.openssh import MultiplexedSsh
from benchmarks.peers import tmt
from benchmarks.peers.environment import if_available
from benchmarks.peers.process import older_atex
from benchmarks.rounds import side_by_side, start
from benchmarks.table import Row, print_table
from benchmarks.trees import write_tree
from tests.machines import LightHost
from tests.machines.login import ssh_to

TESTS = 100  # a round, of what is fast
SLOW_TESTS = 5  # a round, of what is not


def main() -> None:
    """Measure all, and print the table."""
    rounds = start(__doc__)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (host,) = stack.enter_context(light_hosts(1))
        tree = write_tree(folder / "tree", {"true": "true"})
        ssh = stack.enter_context(MultiplexedSsh(host, folder))
        subjects = {"ATEX": stack.enter_context(_atex(host, tree, folder / "run"))}
        with if_available():
            older = stack.enter_context(older_atex(host, tree, folder / "older-atex"))
            subjects["older atex 1.2"] = lambda: older.ask(f"/true {SLOW_TESTS}") / SLOW_TESTS
        subjects["multiplexed ssh"] = lambda: _mean_seconds(lambda: ssh.run("true"))
        *rows, reference = side_by_side(subjects, rounds)
        with if_available():
            rows.append(Row("tmt 1.78", tmt.seconds_per_test(host, folder, rounds)))
    rows = [
        Row(row.subject, [seconds * 1000 for seconds in row.values]) for row in (*rows, reference)
    ]
    print_table("A test that is `true`, over ssh", "ms a test", rows)


@contextmanager
def _atex(host: LightHost, tree: Path, run: Path) -> Iterator[Callable[[], float]]:
    suite = discover(tree)
    with (
        FolderSink(run) as sink,
        ssh_to(host) as connection,
        Executor(connection, suite) as executor,
    ):
        attempts = itertools.count(1)
        yield lambda: _mean_seconds(
            lambda: executor.run(suite.tests[0], sink, attempt=next(attempts))
        )


def _mean_seconds(test: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(TESTS):
        test()
    return (time.perf_counter() - started) / TESTS


if __name__ == "__main__":
    main()
