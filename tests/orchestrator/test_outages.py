"""Machines that are away for a while, and come back before the run is over."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from atex_executor import Times
from atex_fmf import Suite, Test
from atex_orchestrator import Orchestrator
from atex_orchestrator.events import (
    Event,
    MachineComing,
    MachineFreed,
    MachineReleased,
    TestFinished,
    TestStarted,
)
from atex_provision import HostPool, LeaseJournal, SshConnection

from tests.audit import audit
from tests.machines import LightHost
from tests.machines.keeper import descendants
from tests.machines.login import host_of
from tests.waits import eventually

TIMES = Times(patience=0.5, silence=2.0, beat=0.3, farewell=0.5)

pytestmark = pytest.mark.usefixtures("own_home")


def orchestrator_of(tmp_path: Path, hosts: list[LightHost], *tests: str) -> Orchestrator:
    (tmp_path / "tree").mkdir()
    suite = Suite(
        root=str(tmp_path / "tree"),
        tests=tuple(Test(name=f"/t{n}", test=test) for n, test in enumerate(tests, start=1)),
    )
    pool = HostPool(
        [host_of(host) for host in hosts],
        connection=partial(SshConnection, timeout=4),
        pause=0.5,
    )
    orchestrator = Orchestrator(tmp_path / "run", times=TIMES)
    orchestrator.add_platform("p", suite)
    orchestrator.add_provisioner(pool.provisioner, platform="p", max_workers=len(hosts))
    return orchestrator


def test_all_hosts_are_away_for_a_while(
    tmp_path: Path, light_hosts: Callable[[int], list[LightHost]]
) -> None:
    """Nothing is given up: the hosts are waited for, and what ran there is tried again."""
    hosts = light_hosts(2)
    gone: list[LightHost] = []
    away: list[LightHost] = []

    def listen(event: Event) -> None:
        if isinstance(event, TestStarted) and not gone:
            gone.extend(hosts)
            away.extend(hosts)
            for host in hosts:
                host.crash()
                host.heal()  # it answers that nobody is there
        if isinstance(event, MachineComing) and "are waited for: " in event.words:
            while away:
                away.pop().boot()

    orchestrator = orchestrator_of(tmp_path, hosts, *["sleep 0.3"] * 4)
    orchestrator.subscribe(listen)
    summary = orchestrator.run()
    assert summary.counts == {"pass": 4}
    assert (summary.held, summary.left) == ((), {})
    assert audit(tmp_path / "run") == []
    assert LeaseJournal().leases() == []


def test_a_host_that_is_back_at_the_end_is_given_back(
    tmp_path: Path, light_hosts: Callable[[int], list[LightHost]]
) -> None:
    """With the session of its agent, and what that still ran."""
    hosts = light_hosts(2)
    lost: list[LightHost] = []
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, TestStarted) and event.test == "/t1" and not lost:
            lost.extend(host for host in hosts if host.address in event.machine)
            for host in hosts:
                if host not in lost:
                    (host.folder / "root/go").touch()
            lost[0].kill_sessions()  # so that the end of the connection is known at once
            lost[0].cut()
        if isinstance(event, MachineReleased) and event.held is not None:
            lost[0].heal()

    orchestrator = orchestrator_of(tmp_path, hosts, "[ -e /root/go ] || sleep 600", "true")
    orchestrator.subscribe(listen)
    summary = orchestrator.run()
    finished = [event for event in events if isinstance(event, TestFinished)]
    assert [event.status for event in finished if event.test == "/t1"] == ["infra", "pass"]
    held = [event for event in events if isinstance(event, MachineReleased) and event.held]
    freed = [event for event in events if isinstance(event, MachineFreed)]
    assert [event.machine for event in held] == [event.machine for event in freed] != []
    assert (summary.counts, summary.held, summary.left) == ({"pass": 2}, (), {})
    assert audit(tmp_path / "run") == []
    assert LeaseJournal().leases() == []
    eventually(lambda: not list(descendants(lost[0].init)))
