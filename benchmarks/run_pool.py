"""Runs a tree's tests on a pool of ssh hosts: `python -m benchmarks.run_pool WAY KEY TREE FOLDER ADDRESS...`

What a user's script is, and nothing else: a process of its own, so that others can look at what it takes. WAY is the
order in which the pool starts tests, or `slices`: to each of N hosts every Nth test is dealt out in advance.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from atex_fmf import Suite, discover
from atex_orchestrator import Orchestrator
from atex_provision import Host, HostPool


def main() -> None:
    """Run them all; exit with 1 where one did not pass."""
    way, identity, tree, folder, *addresses = sys.argv[1:]
    hosts = [Host(address=address, user="root", identity=identity) for address in addresses]
    sliced = way == "slices"
    order: Any = "plan" if sliced else way
    orchestrator = Orchestrator(Path(folder), order=order)
    add: Callable[..., None] = _add_slices if sliced else _add_pool
    add(orchestrator, discover(Path(tree)), hosts)
    summary = orchestrator.run()
    sys.exit(summary.counts != {"pass": summary.tests})


def _add_pool(orchestrator: Orchestrator, suite: Suite, hosts: list[Host]) -> None:
    orchestrator.add_platform("pool", suite)
    orchestrator.add_provisioner(
        HostPool(hosts).provisioner, max_workers=len(hosts), platform="pool"
    )


def _add_slices(orchestrator: Orchestrator, suite: Suite, hosts: list[Host]) -> None:
    for n, host in enumerate(hosts):
        dealt = msgspec.structs.replace(suite, tests=suite.tests[n :: len(hosts)])
        orchestrator.add_platform(f"slice-{n}", dealt)
        orchestrator.add_provisioner(HostPool([host]).provisioner, platform=f"slice-{n}")


if __name__ == "__main__":
    main()
