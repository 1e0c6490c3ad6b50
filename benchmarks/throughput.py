"""How fast bytes get from a test to the host's disk, over ssh: as the file of a result, and as the test's output.

From the order to the final record, against a bare channel of the same library and connection, and `ssh host cat`.
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from atex_executor import Executor, FolderSink
from atex_fmf import Test, discover
from atex_provision import SshConnection
from atex_provision.ssh.transport import BoundedTransport

from benchmarks.machines import light_hosts
from benchmarks.openssh import MultiplexedSsh
from benchmarks.rounds import side_by_side, start
from benchmarks.table import print_table
from benchmarks.trees import write_tree
from tests.machines import LightHost
from tests.machines.login import ssh_to

MEGABYTES = 256  # a measurement
SIZE = MEGABYTES * 1_000_000
USUAL_CIPHER = "aes128-ctr"  # what paramiko would choose by itself
RECEIVE = 256 * 1024  # bytes, as the executor does
LIMIT = 60.0  # seconds without a byte

DATA = "/var/tmp/data"
SCRIPTS = {
    "file": f"""
        json='{{"name": "big", "files": [{{"name": "data", "length": {SIZE}}}]}}'
        {{ echo "result $json"; cat {DATA}; }} >&$ATEX_TEST_CONTROL""",
    "output": f"cat {DATA}",
}


def main() -> None:
    """Measure all, and print the table."""
    rounds = start(__doc__)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (host,) = stack.enter_context(light_hosts(1))
        tree = write_tree(folder / "tree", SCRIPTS)
        ssh = stack.enter_context(MultiplexedSsh(host, folder))
        ssh.run(f"head -c {SIZE} /dev/urandom >{DATA}")
        bare = stack.enter_context(ssh_to(host))
        usual = stack.enter_context(_connection_with(USUAL_CIPHER, host))
        run = stack.enter_context(_atex(host, tree, folder))
        subjects = {
            "ATEX, a result's file": lambda: run("/file", "subtests/big/data"),
            "ATEX, output": lambda: run("/output", "output.txt"),
            "`ssh host cat`": lambda: _copy_by_ssh(ssh, folder / "copy"),
            f"bare paramiko channel, {USUAL_CIPHER}": lambda: _copy_by_channel(
                usual, folder / "copy"
            ),
            "bare paramiko channel": lambda: _copy_by_channel(bare, folder / "copy"),
        }
        rows = side_by_side(subjects, rounds)
    print_table("From a test to the host's disk, over ssh", "MB/s", rows)


def _connection_with(cipher: str, host: LightHost) -> SshConnection:
    connection = ssh_to(host)
    with patch.object(BoundedTransport, "_preferred_ciphers", (cipher,)):
        connection.connect()
    return connection


@contextmanager
def _atex(host: LightHost, tree: Path, folder: Path) -> Iterator[Callable[[str, str], float]]:
    suite = discover(tree)
    tests = {test.name: test for test in suite.tests}
    with ssh_to(host) as connection, Executor(connection, suite) as executor:
        runs = (folder / f"run-{number}" for number in itertools.count(1))
        yield lambda test, file: _run(executor, tests[test], next(runs), file)


def _run(executor: Executor, test: Test, run: Path, file: str) -> float:
    """Return the MB/s of a run into the folder `run`; the file that came is checked and removed."""
    with FolderSink(run) as sink:
        started = time.perf_counter()
        outcome = executor.run(test, sink)
        seconds = time.perf_counter() - started
    (path,) = run.glob(f"files/*{test.name}/@*/{file}")
    size = path.stat().st_size
    path.unlink()
    if outcome.status != "pass" or size != SIZE:
        raise RuntimeError(f"{size} bytes, {outcome}")
    return MEGABYTES / seconds


def _copy_by_ssh(ssh: MultiplexedSsh, target: Path) -> float:
    with target.open("wb") as copy:
        started = time.perf_counter()
        ssh.run(f"cat {DATA}", copy)
        return _speed(target, started)


def _copy_by_channel(connection: SshConnection, target: Path) -> float:
    with target.open("wb") as copy, connection.open(f"cat {DATA}") as channel:
        started = time.perf_counter()
        while data := channel.receive(RECEIVE, LIMIT):
            copy.write(data)
        copy.flush()
        return _speed(target, started)


def _speed(target: Path, started: float) -> float:
    seconds = time.perf_counter() - started
    if target.stat().st_size != SIZE:
        raise RuntimeError(f"{target.stat().st_size} bytes came")
    return MEGABYTES / seconds


if __name__ == "__main__":
    main()
