"""A machine that could not be used is not given up where that was not its own doing."""

from pathlib import Path

import pytest
from atex_executor import Executor, Times
from atex_fmf import Suite, Test
from atex_orchestrator import Orchestrator
from atex_orchestrator.events import Event, MachineFailed
from atex_provision import HostPool

from tests.machines import Sshd
from tests.machines.login import host_of, ssh_to


@pytest.mark.usefixtures("own_home")
def test_a_host_that_was_busy_for_a_while(tmp_path: Path, sshd: Sshd) -> None:
    (tmp_path / "tree").mkdir()
    suite = Suite(root=str(tmp_path / "tree"), tests=(Test(name="/t", test="true"),))
    failed: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, MachineFailed):
            failed.append(event.reason)
            other.close()

    orchestrator = Orchestrator(tmp_path / "run", times=Times(patience=0.5))
    orchestrator.subscribe(listen)
    orchestrator.add_platform("p", suite)
    orchestrator.add_provisioner(HostPool([host_of(sshd)]).provisioner, platform="p")
    with ssh_to(sshd) as connection, Executor(connection, suite) as other:
        summary = orchestrator.run()
    assert summary.counts == {"pass": 1}
    assert len(failed) == 1
    assert "is in use" in failed[0]
