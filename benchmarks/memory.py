"""How much memory `atex run` takes on the quickstart, and what each further idle ssh machine adds."""

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from atex_executor import Executor
from atex_fmf import Suite
from atex_provision import Host, SshConnection

from benchmarks.table import Row, print_table
from tests.machines import LightHost, LightHosts

ROUNDS = 10
MACHINES = 20
REPOSITORY = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure both and print the tables."""
    imports = "import fmf, paramiko, msgspec, click"
    libraries = [_peak_of([sys.executable, "-c", imports]) for _ in range(ROUNDS)]
    runs = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            atex = [
                str(Path(sys.executable).parent / "atex"),
                "run",
                str(REPOSITORY / "examples/quickstart"),
            ]
            runs.append(_peak_of([*atex, "--on", "local", "--output", f"{folder}/run", "-q"]))
    print_table(
        "Resident memory of `atex run examples/quickstart`",
        "MiB",
        [Row("atex run", runs), Row("importing the libraries alone", libraries)],
    )
    with LightHosts(MACHINES) as hosts, tempfile.TemporaryDirectory() as tree:
        further = [_per_machine(hosts, tree) for _ in range(ROUNDS)]
    print_table("Each further idle ssh machine", "MiB", [Row("attached, agent ready", further)])


def _peak_of(command: list[str]) -> float:
    """Return the largest resident size in MiB that the command's own process had (getrusage(2))."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} exited with {process.returncode}")
    return usage.ru_maxrss / 1024


def _per_machine(hosts: list[LightHost], tree: str) -> float:
    """Return what the second and all later machines add on average, in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, str(_attach_all(hosts, tree)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return float(answer)


def _attach_all(hosts: list[LightHost], tree: str) -> float:
    suite = Suite(root=tree, tests=())
    with ExitStack() as stack:
        sizes = []
        for host in hosts:
            connection = SshConnection(
                Host(address=host.address, user=host.user, identity=str(host.identity))
            )
            stack.enter_context(connection)
            stack.enter_context(Executor(connection, suite))
            sizes.append(_resident())
        return (sizes[-1] - sizes[0]) / (len(hosts) - 1)


def _resident() -> float:
    """Return this process's resident size in MiB (proc(5), statm)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


if __name__ == "__main__":
    main()
