"""Prints once the agent is ready on all machines: `python -m benchmarks.ready_machines KEY ADDRESS...`

The line has what is resident then, and what was before the first connection, in MiB. Then the agents are ended.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from atex_executor import Executor
from atex_fmf import Suite
from atex_provision import Host, SshConnection

from benchmarks.idle_machines import resident


def main() -> None:
    """Connect to all machines at once."""
    identity, *addresses = sys.argv[1:]
    suite = Suite(root=str(Path(__file__).parent / "peers"), tests=())
    before = resident()

    def make_ready(address: str) -> Executor:
        connection = SshConnection(Host(address=address, user="root", identity=identity))
        connection.connect()
        executor = Executor(connection, suite)
        executor.start()
        return executor

    with ThreadPoolExecutor(len(addresses)) as pool:
        executors = list(pool.map(make_ready, addresses))
        print(resident(), before, flush=True)
        list(pool.map(Executor.close, executors))


if __name__ == "__main__":
    main()
