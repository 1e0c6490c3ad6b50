"""Containers that go down and come back, and such as do not: with systemd and without, announced and not.

The boot id is that of this box and stays; that a container was started again its PID 1 tells.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest
from atex_executor import Executor, RunOutcome
from atex_fmf import Test
from atex_provision import Machine, PodmanProvisioner
from atex_provision.podman.command import podman

from tests.executor.conftest import Execute, Run
from tests.executor.test_reboots import RESTART
from tests.waits import Background, eventually

Containers = Callable[..., Machine]

BOOT = "cat /proc/sys/kernel/random/boot_id; cut -d' ' -f22 /proc/1/stat"


@pytest.fixture
def containers(podman_image: str, own_home: object) -> Iterator[Containers]:
    """`containers(systemd=True, ...)`: a container of the test's own."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            PodmanProvisioner(podman_image, network="none", **options)
        )


# How a container goes down from inside, one with systemd and one without.
GOING_DOWN = {True: "systemctl reboot", False: "kill 1"}


def outcome_of(executor: Executor, run: Run, number: int = 0) -> RunOutcome:
    return executor.run(executor.suite.tests[number], run.sink)


def test_announced_restarts_two_at_a_time(
    containers: Containers, execute: Execute, run: Run
) -> None:
    script = f"""
    echo $TMT_REBOOT_COUNT $(pwd) $({BOOT}) >>/var/tmp/starts
    if [ $TMT_REBOOT_COUNT = 1 ]; then cat /var/tmp/starts; exit 0; fi
    {RESTART}
    {{}}
    sleep 60
    """

    def reboot(systemd: bool) -> None:
        machine = containers(systemd=systemd)
        name = f"/{systemd}"
        test = Test(name=name, test=script.format(GOING_DOWN[systemd]))
        executor = execute(machine.connection, test, "true", work=None, machine=machine.name)
        outcome = outcome_of(executor, run)
        assert (outcome.status, outcome.note, outcome.exit_code) == ("pass", None, 0)
        lines = run.output(outcome.record).splitlines()
        counts, folders, boot_ids, starts = zip(*(line.split() for line in lines), strict=True)
        assert counts == ("0", "1")
        assert len(set(folders)) == len(set(boot_ids)) == 1
        assert len(set(starts)) == 2
        assert executor.alive
        assert outcome_of(executor, run, 1).status == "pass"

    both = [Background(partial(reboot, systemd)) for systemd in GOING_DOWN]
    for one in both:
        one.result(60)


@pytest.mark.parametrize("systemd", GOING_DOWN)
def test_a_restart_without_a_word(
    systemd: bool, containers: Containers, execute: Execute, run: Run
) -> None:
    script = f"{GOING_DOWN[systemd]}; sleep 60"
    executor = execute(containers(systemd=systemd).connection, script, "true", work=None)
    outcome = outcome_of(executor, run)
    assert (outcome.status, outcome.note) == ("infra", "the machine went down during this test")
    assert executor.alive
    assert outcome_of(executor, run, 1).status == "pass"


def test_killed_and_then_removed(containers: Containers, execute: Execute, run: Run) -> None:
    container = containers()
    tests = [Test(name=f"/{n}", test="echo begun; sleep 60") for n in range(2)]
    executor = execute(container.connection, *tests, work=None)
    running = Background(lambda: outcome_of(executor, run))
    eventually(lambda: has_begun(run, 0))
    podman("kill", container.name)
    outcome = running.result()
    assert (outcome.status, outcome.note) == ("infra", "the machine went down during this test")
    assert executor.alive
    running = Background(lambda: outcome_of(executor, run, 1))
    eventually(lambda: has_begun(run, 1))
    podman("rm", "--force", "--time=0", container.name)
    outcome = running.result()
    assert (outcome.status, outcome.machine_lost) == ("infra", True)
    assert f"{container.name}: there is no such container" in (outcome.note or "")
    assert not executor.alive


def has_begun(run: Run, number: int) -> bool:
    outputs = run.sink.folder.glob(f"files/local/{number}/@*/output.txt")
    return [output.read_text() for output in outputs] == ["begun\n"]


@pytest.mark.nightly  # it waits for podman to count to 20
def test_the_lease_ends(containers: Containers, execute: Execute, run: Run) -> None:
    container = containers(duration=20)
    executor = execute(container.connection, "sleep 60", work=None)
    outcome = outcome_of(executor, run)
    assert (outcome.status, outcome.machine_lost) == ("infra", True)
    assert "lease has ended" in (outcome.note or "")
    assert container.lease_end is not None
    assert abs(time.time() - container.lease_end) < 5
