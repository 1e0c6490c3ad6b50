"""How many small results a second one test can send, from its first byte to the last line of results.jsonl.

The reference is a raw copy: the same bytes, `ssh host cat` into a file.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from atex_executor import Executor, FolderSink
from atex_fmf import discover
from atex_provision import Host, SshConnection

from benchmarks.peers.environment import PeerMissing
from benchmarks.peers.process import older_atex
from benchmarks.table import Row, print_table
from benchmarks.trees import write_tree
from tests.machines import LightHost, LightHosts

ROUNDS = 10
RESULTS = 1_000_000
OLDER_RESULTS = 100_000  # it would take half a minute for all


def main() -> None:
    """Measure all, one after another within each round, and print the table."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (host,) = stack.enter_context(LightHosts(1))
        scripts = {
            "send": f"python3 send.py {RESULTS} inline",
            "sized": f"python3 send.py {OLDER_RESULTS} sized",
        }
        tree = write_tree(folder / "tree", scripts)
        subjects: dict[str, Callable[[], float]] = {
            "ATEX": stack.enter_context(_atex(host, tree, folder)),
        }
        try:
            older = stack.enter_context(older_atex(host, tree))
            subjects["older atex 1.2"] = lambda: OLDER_RESULTS / older.ask("/sized 1")
        except PeerMissing as error:
            print(f"left out: {error}")
        subjects["`ssh host cat`"] = lambda: _copy(host, folder)
        values: dict[str, list[float]] = {subject: [] for subject in subjects}
        for _ in range(ROUNDS):
            for subject, measure in subjects.items():
                values[subject].append(measure())
    print_table(
        "One test that sends results", "results a second", [Row(*item) for item in values.items()]
    )


@contextmanager
def _atex(host: LightHost, tree: Path, folder: Path) -> Iterator[Callable[[], float]]:
    suite = discover(tree, tests=["/send"])
    connection = SshConnection(
        Host(address=host.address, user=host.user, identity=str(host.identity))
    )
    with connection, Executor(connection, suite) as executor:
        rounds = iter(range(ROUNDS))

        def measure() -> float:
            run = folder / f"run-{next(rounds)}"
            with FolderSink(run) as sink:
                started = time.perf_counter()
                outcome = executor.run(suite.tests[0], sink)
                seconds = time.perf_counter() - started
            lines = (run / "results.jsonl").read_bytes().count(b"\n")
            if outcome.status != "pass" or lines != RESULTS + 1:
                raise RuntimeError(f"{lines} lines, {outcome}")
            (run / "results.jsonl").unlink()
            return RESULTS / seconds

        yield measure


def _copy(host: LightHost, folder: Path) -> float:
    line = 'result {"name": "call/500000", "status": "pass"}'
    command = f"yes '{line}' | head -n {RESULTS}"
    login = [
        "-i",
        str(host.identity),
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
    ]
    with (folder / "copy").open("wb") as copy:
        started = time.perf_counter()
        target = f"{host.user}@{host.address}"
        subprocess.run(
            ["ssh", "-q", *login, target, command],
            stdout=copy,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        return RESULTS / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
