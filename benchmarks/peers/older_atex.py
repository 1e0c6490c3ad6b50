# mypy: disable-error-code="import-not-found"
"""Drives the older atex (PyPI `atex`, 1.2) for a benchmark. Runs inside that peer's environment.

Arguments: address, identity, a folder with an fmf tree, and an empty folder for results. Then, for each line
`TEST COUNT` on stdin, it runs that test so many times and prints the seconds that took.
"""

import itertools
import sys
import time
from pathlib import Path

from atex.connection.ssh import ManagedSSHConnection
from atex.executor.fmf import FMFExecutor, discover


def main() -> None:
    """Serve the lines of stdin until its end."""
    address, identity, tree, results = sys.argv[1:]
    options = {
        "Hostname": address,
        "User": "root",
        "IdentityFile": identity,
        "UserKnownHostsFile": "/dev/null",
    }
    folders = (Path(results) / str(number) for number in itertools.count())
    with (
        ManagedSSHConnection(options) as connection,
        FMFExecutor(connection, discover(tree)) as executor,
    ):
        print("ready", flush=True)
        for line in sys.stdin:
            test, count = line.split()
            started = time.perf_counter()
            for folder in itertools.islice(folders, int(count)):
                folder.mkdir()
                executor.run_test(test, folder)
            print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
