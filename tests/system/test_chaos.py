"""A run whose machines and connections are killed at random ends with the right verdicts, and leaves nothing.

What was broken is logged; the seed is in the name of the test.
"""

import logging
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from atex_executor import Times
from atex_fmf import Suite, Test
from atex_orchestrator import Orchestrator, Summary
from atex_orchestrator.results import read_finals
from atex_provision import HostPool, LeaseJournal, PodmanProvisioner

from tests.audit import audit
from tests.cli.command import Atex, caller_environment
from tests.machines import LightHost
from tests.machines.login import host_of
from tests.system.chaos import Chaos
from tests.system.fleet import traces_on
from tests.waits import Background, eventually

# A host is away for less or for more than the patience, so that it may come back to the same worker or to another one.
TIMES = Times(
    patience=2.5, linger=20.0, beat=0.5, silence=2.0, handshake=30.0, confirm=5.0, farewell=2.0
)
RETRIES = 20  # no test has so much bad luck
LIMIT = 900.0  # seconds


def survive(
    folder: Path,
    hosts: list[LightHost],
    image: str,
    *,
    containers: int,
    tests: int,
    faults: int,
    seed: int,
) -> None:
    """Run so many tests, with so many faults spread over the run."""
    chance = random.Random(seed)
    moments = sorted(chance.randrange(tests * 9 // 10) for _ in range(faults))
    orchestrator = pool_run(folder, hosts, image, containers=containers, tests=tests)
    with Chaos(hosts, chance) as chaos:
        orchestrator.subscribe(chaos.listen)
        with running(orchestrator) as run:
            for moment in moments:
                eventually(partial(is_time, moment, chaos, run), LIMIT)
                chaos.cause()
            summary = run.result(LIMIT)
    assert summary.counts == {"pass": tests}, summary
    assert audit(folder / "run", host=host_behind) == []
    check_attempts(folder / "run")
    collected = Atex(folder, caller_environment(Path.home()))("gc")  # of hosts that were lost
    assert collected.code == 0, collected
    assert LeaseJournal().leases() == []
    eventually(lambda: not any(traces_on(host) for host in hosts))


def host_behind(machine: str) -> str:
    """Return what `root@198.18.0.2` and `root@198.18.0.2-2` have in common; each container is another one."""
    name, _, _ = machine.partition("-")
    return machine if name == "podman" else name


@contextmanager
def running(orchestrator: Orchestrator) -> "Iterator[Background[Summary]]":
    """It runs meanwhile, and has ended afterwards."""
    run = Background(orchestrator.run)
    try:
        yield run
    finally:
        orchestrator.abort("the test is over", at_once=True)
        eventually(lambda: not run.waiting, LIMIT)


def is_time(moment: int, chaos: Chaos, run: "Background[Summary]") -> bool:
    return chaos.passed >= moment or not run.waiting


def pool_run(
    folder: Path, hosts: list[LightHost], image: str, *, containers: int, tests: int
) -> Orchestrator:
    tree = folder / "tree"
    tree.mkdir()
    orchestrator = Orchestrator(folder / "run", times=TIMES, grace=1.0, infra_retries=RETRIES)
    suite = Suite(
        root=str(tree), tests=tuple(Test(name=f"/t{n}", test="true") for n in range(tests))
    )
    orchestrator.add_platform("lab", suite)
    pool = HostPool([host_of(host) for host in hosts], pause=0.5)
    orchestrator.add_provisioner(
        pool.provisioner, platform="lab", max_workers=len(hosts), name="hosts"
    )
    for systemd in (False, True):
        orchestrator.add_provisioner(
            partial(PodmanProvisioner, image, systemd=systemd, network="none"),
            platform="lab",
            max_workers=containers // 2,
            name=f"containers, systemd: {systemd}",
        )
    return orchestrator


def check_attempts(run: Path) -> None:
    """Only a fault ends an attempt without a pass, and after a pass there is no other one."""
    statuses = defaultdict(list)
    for record in read_finals(run):
        statuses[record.serial].append(record.status)
    for serial, of_test in statuses.items():
        *before, last = of_test
        assert (set(before), last) in ((set(), "pass"), ({"infra"}, "pass")), (serial, of_test)


@pytest.mark.parametrize("seed", [1])
def test_a_run_survives(
    seed: int,
    light_hosts: Callable[[int], list[LightHost]],
    podman_image: str,
    own_home: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    survive(tmp_path, light_hosts(4), podman_image, containers=2, tests=600, faults=15, seed=seed)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [2, 3])
def test_five_thousand_tests_survive(
    seed: int,
    light_hosts: Callable[[int], list[LightHost]],
    podman_image: str,
    own_home: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    survive(
        tmp_path, light_hosts(20), podman_image, containers=4, tests=5000, faults=200, seed=seed
    )
