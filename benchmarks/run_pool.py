"""Runs a tree's tests on a pool of ssh hosts: `python -m benchmarks.run_pool KEY TREE FOLDER ADDRESS...`

What a user's script is, and nothing else: a process of its own, so that others can look at what it takes.
"""

import sys
from pathlib import Path

from atex_fmf import discover
from atex_orchestrator import Orchestrator
from atex_provision import Host, HostPool

PLATFORM = "light"


def main() -> None:
    """Run them all; exit with 1 where one did not pass."""
    identity, tree, folder, *addresses = sys.argv[1:]
    hosts = [Host(address=address, user="root", identity=identity) for address in addresses]
    orchestrator = Orchestrator(Path(folder))
    orchestrator.add_platform(PLATFORM, discover(Path(tree)))
    orchestrator.add_provisioner(
        HostPool(hosts).provisioner, max_workers=len(hosts), platform=PLATFORM
    )
    summary = orchestrator.run()
    sys.exit(summary.counts != {"pass": summary.tests})


if __name__ == "__main__":
    main()
