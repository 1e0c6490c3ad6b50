# mypy: disable-error-code="import-not-found"
"""Drives the older atex's AdHocOrchestrator (PyPI `atex`, 1.2) for a benchmark. Runs inside that peer's environment.

As `benchmarks.run_pool`: `python older_pool.py KEY TREE FOLDER ADDRESS...`
"""

import sys
from functools import partial
from pathlib import Path

from atex.aggregator.jsonl import JSONLinesAggregator
from atex.connection.ssh import ManagedSSHConnection
from atex.executor.fmf import FMFExecutor, discover
from atex.orchestrator.adhoc import AdHocOrchestrator
from atex.provisioner.anyconn import AnyConnectionProvisioner


def main() -> None:
    """Run all tests of the tree."""
    identity, tree, folder, *addresses = sys.argv[1:]
    Path(folder).mkdir()
    options = {"User": "root", "IdentityFile": identity, "UserKnownHostsFile": "/dev/null"}
    provisioners = [
        AnyConnectionProvisioner(
            ManagedSSHConnection, ({**options, "Hostname": address},), max_remotes=1
        )
        for address in addresses
    ]
    for provisioner in provisioners:
        provisioner.start()
    tests = discover(tree)
    with (
        JSONLinesAggregator(f"{folder}/results.jsonl", f"{folder}/files") as aggregator,
        AdHocOrchestrator(
            "light", tests.data, provisioners, partial(FMFExecutor, fmf_tests=tests), aggregator
        ) as orchestrator,
    ):
        orchestrator.serve_forever()
    for provisioner in provisioners:
        provisioner.stop()


if __name__ == "__main__":
    main()
