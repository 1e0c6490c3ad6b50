"""Machines that die under their tests, are spoilt by them, or whose lease is too short: others take their place."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from atex_executor import Times
from atex_fmf import Phase, Plan, Suite, Test
from atex_orchestrator import Orchestrator
from atex_orchestrator.events import (
    Event,
    MachineReady,
    TestFinished,
    TestStarted,
)
from atex_provision import HostPool, Machine, Provisioner

from tests.machines import LightHost
from tests.machines.login import host_of
from tests.orchestrator.provisioners import Fresh

NO_PLAN = Plan()


def suite_of(tmp_path: Path, *tests: str | Test, plan: Plan = NO_PLAN) -> Suite:
    """Return a suite of tests: /t1, /t2 and so on where only a script is given."""
    tree = tmp_path / "tree"
    tree.mkdir(exist_ok=True)
    named = tuple(
        Test(name=f"/t{n}", test=given) if isinstance(given, str) else given
        for n, given in enumerate(tests, start=1)
    )
    return Suite(root=str(tree), tests=named, plan=plan)


def run(
    tmp_path: Path, suite: Suite, factory: Callable[[], Provisioner] = Fresh, **options: Any
) -> tuple[dict[str, int], list[Event]]:
    """Run a suite on one machine at a time; return the counts of statuses, and what was told."""
    events: list[Event] = []
    orchestrator = Orchestrator(tmp_path / "run", **options)
    orchestrator.subscribe(events.append)
    orchestrator.add_platform("p", suite)
    orchestrator.add_provisioner(factory, platform="p")
    return orchestrator.run().counts, events


def ended(events: list[Event]) -> list[tuple[int, int, str]]:
    """Serial, attempt and status of attempts as they ended."""
    finished = [event for event in events if isinstance(event, TestFinished)]
    return [(event.serial, event.attempt, event.status) for event in finished]


def hosts_of(events: list[Event]) -> list[str]:
    """The machine of each attempt."""
    return [event.machine for event in events if isinstance(event, TestFinished)]


@pytest.mark.leaves_leases  # of the machine that is dead
@pytest.mark.usefixtures("own_home")
def test_a_machine_that_dies_is_replaced_and_its_test_runs_there(
    tmp_path: Path, light_hosts: Callable[[int], list[LightHost]]
) -> None:
    hosts = light_hosts(2)
    dead: list[LightHost] = []

    def listen(event: Event) -> None:
        if isinstance(event, TestStarted) and not dead:
            dead.append(next(host for host in hosts if host.address in event.machine))
            dead[0].crash()
            dead[0].heal()  # it answers that nobody is there

    times = Times(patience=1.0, farewell=1.0)
    orchestrator = Orchestrator(tmp_path / "run", times=times)
    orchestrator.subscribe(listen)
    events: list[Event] = []
    orchestrator.subscribe(events.append)
    orchestrator.add_platform("p", suite_of(tmp_path, "sleep 0.5", "true"))
    pool = HostPool([host_of(host) for host in hosts])
    orchestrator.add_provisioner(pool.provisioner, platform="p")
    summary = orchestrator.run()
    assert summary.counts == {"pass": 2}
    assert sorted(ended(events)) == [(1, 1, "infra"), (1, 2, "pass"), (2, 1, "pass")]
    [trouble] = [trouble for trouble in summary.troubles if trouble.during == "test"]
    assert dead[0].address in trouble.machine
    assert trouble.tests == ("/t1",)


def test_a_test_that_always_kills_its_agent_is_tried_three_times(tmp_path: Path) -> None:
    """Its machine is as good as before. With no retries it is once, whatever is set."""
    suite = suite_of(tmp_path, "kill -9 $PPID; sleep 60", "true")
    _, events = run(tmp_path / "two", suite)
    assert sorted(ended(events)) == [
        (1, 1, "infra"),
        (1, 2, "infra"),
        (1, 3, "infra"),
        (2, 1, "pass"),
    ]
    assert len(set(hosts_of(events))) == 1
    _, events = run(tmp_path / "none", suite, infra_retries=0)
    assert sorted(ended(events)) == [(1, 1, "infra"), (1, 2, "infra"), (2, 1, "pass")]


@pytest.mark.parametrize(
    ("destructive", "machines"),
    [("tag", [1, 1, 2]), ("exit", [1, 2, 3]), ("never", [1, 1, 1])],
)
def test_which_tests_spoil_their_machine(
    tmp_path: Path, destructive: str, machines: list[int]
) -> None:
    """A failure, then one with the tag. A machine is finished whatever a test made of it."""
    bye = Phase(name="bye", how="shell", script=(f"echo >> {tmp_path}/finished",))
    tagged = Test(name="/tagged", test="true", tag=("destructive",))
    suite = suite_of(tmp_path, "false", tagged, "true", plan=Plan(finish=(bye,)))
    _, events = run(tmp_path, suite, destructive=destructive)
    used = hosts_of(events)
    assert [sorted(set(used), key=used.index).index(name) + 1 for name in used] == machines
    assert len((tmp_path / "finished").read_text()) == max(machines)


def test_reruns_until_it_passes_or_there_are_none_left(tmp_path: Path) -> None:
    """A retry is no rerun, and a rerun no retry."""
    count = f"echo >> {tmp_path}/$TMT_TEST_SERIAL_NUMBER; n=$(wc -l < {tmp_path}/$TMT_TEST_SERIAL_NUMBER)"
    flaky = f"{count}; case $n in 1) exit 1;; 2) kill -9 $PPID; sleep 60;; 3) exit 1;; esac"
    suite = suite_of(tmp_path, flaky, f"{count}; exit 1")
    counts, events = run(tmp_path, suite, reruns=2)
    assert counts == {"pass": 1, "fail": 1}
    assert [(attempt, status) for serial, attempt, status in ended(events) if serial == 1] == [
        (1, "fail"),
        (2, "infra"),
        (3, "fail"),
        (4, "pass"),
    ]
    assert [(attempt, status) for serial, attempt, status in ended(events) if serial == 2] == [
        (1, "fail"),
        (2, "fail"),
        (3, "fail"),
    ]


def test_a_rerun_goes_to_another_machine(tmp_path: Path) -> None:
    """Which is there and would do nothing otherwise."""
    meet = f"touch {tmp_path}/here.$$; until [ $(ls {tmp_path}/here.* | wc -l) -ge 2 ]; do sleep 0.05; done"
    events: list[Event] = []
    orchestrator = Orchestrator(tmp_path / "run", reruns=1)
    orchestrator.subscribe(events.append)
    orchestrator.add_platform("p", suite_of(tmp_path, f"{meet}; exit 1", f"{meet}; sleep 0.2"))
    orchestrator.add_provisioner(Fresh, platform="p", max_workers=2)
    orchestrator.run()
    [first, second] = [
        event.machine for event in events if isinstance(event, TestFinished) and event.serial == 1
    ]
    assert first != second


def test_enough_failures_end_the_run(tmp_path: Path) -> None:
    counts, _ = run(
        tmp_path, suite_of(tmp_path, "false", "true", "false", *["true"] * 3), fail_fast=2
    )
    assert counts == {"fail": 2, "pass": 1, "skip": 3}


def test_a_test_goes_where_its_lease_is_long_enough(tmp_path: Path) -> None:
    """The first machine takes what fits; then another one is asked for."""

    class Leased(Fresh):
        def reserve(self) -> Machine:
            machine = super().reserve()
            machine.lease_end = time.time() + (30 if not machines else 3000)
            machines.append(machine.name)
            return machine

    machines: list[str] = []
    long = Test(name="/long", test="true", duration=1000.0)
    short = Test(name="/short", test="true", duration=1.0)
    counts, events = run(tmp_path, suite_of(tmp_path, long, short), Leased)
    assert counts == {"pass": 2}
    finished = [event for event in events if isinstance(event, TestFinished)]
    assert [event.test for event in finished] == ["/short", "/long"]
    assert finished[0].machine != finished[1].machine
    ready = [event.lease_end for event in events if isinstance(event, MachineReady)]
    assert ready[0] is not None
    assert ready[1] is not None


def test_a_spare_takes_the_place_of_a_machine_that_was_spoilt(tmp_path: Path) -> None:
    """It is ready before it is needed, and takes no test until then."""
    spare = f"until [ -e {tmp_path}/spare ]; do sleep 0.05; done"

    def listen(event: Event) -> None:
        if isinstance(event, MachineReady):
            ready.append(event.machine)
            if len(ready) == 2:
                (tmp_path / "spare").touch()

    ready: list[str] = []
    orchestrator = Orchestrator(tmp_path / "run", spares=1)
    events: list[Event] = []
    orchestrator.subscribe(listen)
    orchestrator.subscribe(events.append)
    spoils = Test(name="/spoils", test=spare, tag=("destructive",))
    orchestrator.add_platform("p", suite_of(tmp_path, spoils, "true", "true"))
    orchestrator.add_provisioner(Fresh, platform="p")
    assert orchestrator.run().counts == {"pass": 3}
    first, *others = hosts_of(events)
    assert {first, *others} == set(ready[:2])
    assert others == [others[0]] * 2
