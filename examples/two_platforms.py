"""Usage: two_platforms.py TREE NAME=IMAGE...: the tests of a tree, once on containers of each."""

import sys
from functools import partial
from pathlib import Path

from atex_fmf import Test, discover
from atex_orchestrator import FinalRecord, Orchestrator
from atex_provision import Machine, PodmanProvisioner


class Mine(Orchestrator):
    def fitness(self, test: Test, machine: Machine) -> float:
        return 1.0 if "snapshot" in test.tag and "snapshot" in machine.marks else 0.0

    def output_result(self, test: Test, record: FinalRecord) -> None:
        with Path("verdicts.txt").open("a") as file:
            file.write(f"{record.status} {record.platform} {test.name} {record.attempt}\n")


orchestrator = Mine(Path("run"), reruns=2)
for name, image in (argument.split("=") for argument in sys.argv[2:]):
    orchestrator.add_platform(name, discover(sys.argv[1], context={"distro": name}))
    orchestrator.add_provisioner(partial(PodmanProvisioner, image), max_workers=2, platform=name)
print(orchestrator.run().counts)
