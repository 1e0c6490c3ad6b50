"""Tests in containers: the agent over `podman exec`."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from atex_fmf import Phase, Plan, Test
from atex_provision import Machine, PodmanConnection, PodmanProvisioner

from tests.executor.conftest import Execute, Run
from tests.machines.keeper import descendants
from tests.waits import Background, eventually


@pytest.fixture
def container(podman_image: str, own_home: Path) -> Iterator[Machine]:
    with PodmanProvisioner(podman_image, network="none") as machine:
        yield machine


def test_pass_fail_and_what_a_phase_left(
    container: Machine, execute: Execute, run: Run, tree: Path
) -> None:
    (tree / "data").write_text("of the tree\n")
    plan = Plan(prepare=(Phase(name="setup", how="shell", script=("echo ready >/var/tmp/phase",)),))
    passing = Test(name="/pass", test="cat data /var/tmp/phase; hostname")
    failing = Test(name="/fail", test="exit 3")
    executor = execute(container.connection, passing, failing, plan=plan, work=None)
    executor.prepare(run.sink)
    first, second = (executor.run(test, run.sink) for test in executor.suite.tests)
    assert (first.status, first.exit_code, first.note) == ("pass", 0, None)
    assert (second.status, second.exit_code, second.note) == ("fail", 3, None)
    assert run.output(first.record) == f"of the tree\nready\n{container.name}\n"


def test_a_test_outlives_the_podman_exec(
    container: Machine, execute: Execute, run: Run, tmp_path: Path
) -> None:
    script = "echo started; until [ -e /var/tmp/go ]; do sleep 0.05; done; echo done"
    executor = execute(container.connection, script, work=None)
    running = Background(lambda: executor.run(executor.suite.tests[0], run.sink))
    eventually(lambda: b"started" in b"".join(f.read_bytes() for f in tmp_path.rglob("output.txt")))
    for pid, name in list(descendants(os.getpid())):
        if name == "podman":
            os.kill(pid, signal.SIGKILL)
    with PodmanConnection(container.name) as another:
        another.run("touch /var/tmp/go")
    outcome = running.result()
    assert (outcome.status, outcome.note) == ("pass", None)
    assert run.output(outcome.record) == "started\ndone\n"
