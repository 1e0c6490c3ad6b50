"""Prints what each further idle ssh machine adds to a process: `python -m benchmarks.idle_machines KIND KEY ADDRESS...`

What is resident with all machines, less what is resident with the first alone, in MiB a machine.
"""

import os
import sys
from contextlib import ExitStack
from pathlib import Path

from atex_executor import Executor
from atex_fmf import Suite
from atex_provision import Host, SshConnection

ATTACHED, CONNECTED = KINDS = ("executor attached", "connection alone")


def main() -> None:
    """Connect to one machine after the other."""
    kind, identity, *addresses = sys.argv[1:]
    suite = Suite(root=str(Path(__file__).parent / "peers"), tests=())
    sizes = []
    with ExitStack() as stack:
        for address in addresses:
            host = Host(address=address, user="root", identity=identity)
            connection = stack.enter_context(SshConnection(host))
            if kind == ATTACHED:
                stack.enter_context(Executor(connection, suite))
            sizes.append(resident())
    print((sizes[-1] - sizes[0]) / (len(sizes) - 1))


def resident() -> float:
    """Return this process's resident size in MiB (proc(5), statm)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
