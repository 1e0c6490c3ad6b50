"""How long a test takes whose script is `true`, over ssh, one after another: from the order to its final record.

The reference is OpenSSH itself: `ssh -S socket host true` over a connection that is already there.
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

from benchmarks.peers import tmt
from benchmarks.peers.environment import PeerMissing, peer_python
from benchmarks.peers.process import older_atex
from benchmarks.table import Row, print_table
from benchmarks.trees import write_tree
from tests.machines import LightHost, LightHosts

ROUNDS = 10
TESTS = 100  # a round, of what is fast
SLOW_TESTS = 5  # a round, of what is not


def main() -> None:
    """Measure all, one after another within each round, and print the table."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (host,) = stack.enter_context(LightHosts(1))
        tree = write_tree(folder / "tree", {"true": "true"})
        subjects: dict[str, Callable[[], float]] = {
            "ATEX": stack.enter_context(_atex(host, tree, folder))
        }
        try:
            older = stack.enter_context(older_atex(host, tree))
            subjects["older atex 1.2"] = lambda: older.ask(f"/true {SLOW_TESTS}") / SLOW_TESTS
            tmt_python = peer_python("tmt==1.78.0")
            tmt.allow(host)
            subjects["tmt 1.78"] = lambda: tmt.seconds_per_test(
                tmt_python, host, folder, SLOW_TESTS
            )
        except PeerMissing as error:
            print(f"left out: {error}")
        subjects["multiplexed ssh"] = stack.enter_context(_multiplexed_ssh(host, folder))
        values: dict[str, list[float]] = {subject: [] for subject in subjects}
        for _ in range(ROUNDS):
            for subject, measure in subjects.items():
                values[subject].append(measure() * 1000)
    print_table(
        "A test that is `true`, over ssh", "ms a test", [Row(*item) for item in values.items()]
    )


@contextmanager
def _atex(host: LightHost, tree: Path, folder: Path) -> Iterator[Callable[[], float]]:
    suite = discover(tree)
    connection = SshConnection(
        Host(address=host.address, user=host.user, identity=str(host.identity))
    )
    with FolderSink(folder / "run") as sink, connection, Executor(connection, suite) as executor:
        attempts = iter(range(1, 1_000_000))

        def measure() -> float:
            started = time.perf_counter()
            for _ in range(TESTS):
                executor.run(suite.tests[0], sink, attempt=next(attempts))
            return (time.perf_counter() - started) / TESTS

        yield measure


@contextmanager
def _multiplexed_ssh(host: LightHost, folder: Path) -> Iterator[Callable[[], float]]:
    socket = folder / "ssh"
    login = [
        "-i",
        str(host.identity),
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
    ]
    target = f"{host.user}@{host.address}"
    subprocess.run(
        ["ssh", *login, "-M", "-S", socket, "-f", "-N", target],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    try:

        def measure() -> float:
            started = time.perf_counter()
            for _ in range(TESTS):
                subprocess.run(
                    ["ssh", "-S", socket, target, "true"], check=True, stdin=subprocess.DEVNULL
                )
            return (time.perf_counter() - started) / TESTS

        yield measure
    finally:
        subprocess.run(
            ["ssh", "-S", socket, "-O", "exit", target], check=True, stderr=subprocess.DEVNULL
        )


if __name__ == "__main__":
    main()
