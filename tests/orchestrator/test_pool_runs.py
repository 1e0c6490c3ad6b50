"""Whole runs, on this machine through the real agent."""

import threading
from collections import Counter
from pathlib import Path

import pytest
from atex_executor import Times
from atex_fmf import Phase, Plan, Suite, Test
from atex_orchestrator import Orchestrator, summarize
from atex_orchestrator.events import (
    Event,
    MachineFailed,
    MachineReady,
    MachineReleased,
    MachineReserved,
    TestFinished,
    TestStarted,
)
from atex_orchestrator.results import read_records
from atex_provision import Host, HostPool, LocalProvisioner, Machine

from tests.machines import Sshd
from tests.machines.login import host_of
from tests.orchestrator.provisioners import Refusing, Watched
from tests.waits import Background, eventually

NO_PLAN = Plan()


def suite_of(tmp_path: Path, *scripts: str, plan: Plan = NO_PLAN) -> Suite:
    tree = tmp_path / "tree"
    tree.mkdir(exist_ok=True)
    tests = tuple(Test(name=f"/t{n}", test=text) for n, text in enumerate(scripts, start=1))
    return Suite(root=str(tree), tests=tests, plan=plan)


def test_two_machines_share_the_tests(tmp_path: Path) -> None:
    events: list[Event] = []
    released: list[None] = []
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.subscribe(events.append)
    orchestrator.add_platform("p", suite_of(tmp_path, *["sleep 0.1"] * 5, "false"))
    orchestrator.add_provisioner(
        lambda: Watched(lambda: released.append(None)), platform="p", max_workers=2
    )
    summary = orchestrator.run()
    assert summary.counts == {"pass": 5, "fail": 1}
    assert [record.test for record in summary.failed] == ["/t6"]
    assert len(released) == 2
    started = [event.serial for event in events if isinstance(event, TestStarted)]
    assert started == [1, 2, 3, 4, 5, 6]
    finished = Counter(event.machine for event in events if isinstance(event, TestFinished))
    assert finished.keys() == {"local", "local-2"}
    assert sum(event.left is None for event in events if isinstance(event, MachineReleased)) == 2
    assert all(event.session for event in events if isinstance(event, MachineReady))
    assert summarize(tmp_path / "run") == summary


def test_environment_and_secrets_reach_the_tests(tmp_path: Path) -> None:
    orchestrator = Orchestrator(
        tmp_path / "run", environment={"A": "1"}, secrets={"TOKEN": "s3cr3t"}
    )
    orchestrator.add_platform("p", suite_of(tmp_path, '[ "$A $TOKEN" = "1 s3cr3t" ]'))
    orchestrator.add_provisioner(LocalProvisioner, platform="p")
    assert orchestrator.run().counts == {"pass": 1}


def test_the_same_tests_on_two_platforms(tmp_path: Path) -> None:
    orchestrator = Orchestrator(tmp_path / "run")
    for platform in ("p", "q"):
        orchestrator.add_platform(platform, suite_of(tmp_path, "true", "true"))
        orchestrator.add_provisioner(LocalProvisioner, platform=platform)
    assert orchestrator.run().counts == {"pass": 4}
    finals = [record for record in read_records(tmp_path / "run") if record.get("final")]
    assert Counter((record["platform"], record["serial"]) for record in finals) == {
        (platform, serial): 1 for platform in ("p", "q") for serial in (1, 2)
    }


def test_trees_are_read_once(tmp_path: Path) -> None:
    """The machine that comes later has what was there when the run began; both platforms are of one tree."""

    class Late(LocalProvisioner):
        def reserve(self) -> Machine:
            eventually(lambda: not file.exists())
            return super().reserve()

    first = f"[ -e file ] && rm {tmp_path}/tree/file && until [ -e {tmp_path}/met ]; do sleep 0.01; done"
    suite = suite_of(tmp_path, first)
    file = tmp_path / "tree/file"
    file.touch()
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.add_platform("p", suite)
    orchestrator.add_provisioner(LocalProvisioner, platform="p")
    orchestrator.add_platform("q", suite_of(tmp_path, f"[ -e file ] && touch {tmp_path}/met"))
    orchestrator.add_provisioner(Late, platform="q")
    assert orchestrator.run().counts == {"pass": 2}


def test_a_platform_without_machines_leaves_the_other_alone(tmp_path: Path) -> None:
    orchestrator = Orchestrator(tmp_path / "run")
    for platform in ("p", "q"):
        orchestrator.add_platform(platform, suite_of(tmp_path, "true", "true"))
    orchestrator.add_provisioner(LocalProvisioner, platform="p")
    orchestrator.add_provisioner(Refusing, platform="q")
    summary = orchestrator.run()
    assert summary.counts == {"pass": 2, "infra": 2}
    assert {record.platform for record in summary.infra} == {"q"}


def test_an_agent_that_is_killed_costs_only_its_test(tmp_path: Path) -> None:
    orchestrator = Orchestrator(tmp_path / "run", infra_retries=0)
    orchestrator.add_platform("p", suite_of(tmp_path, "kill -9 $PPID; sleep 60", "true"))
    orchestrator.add_provisioner(LocalProvisioner, platform="p")
    summary = orchestrator.run()
    assert [(record.test, record.attempt) for record in summary.infra] == [("/t1", 2)]
    assert summary.counts == {"infra": 1, "pass": 1}
    assert summary.missing == ()


def test_a_test_under_which_the_agent_was_killed_gets_another_attempt(tmp_path: Path) -> None:
    once = f"[ -e {tmp_path}/mark ] || {{ touch {tmp_path}/mark; kill -9 $PPID; sleep 60; }}"
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.add_platform("p", suite_of(tmp_path, once))
    orchestrator.add_provisioner(LocalProvisioner, platform="p")
    assert orchestrator.run().counts == {"pass": 1}
    finals = [record for record in read_records(tmp_path / "run") if record.get("final")]
    assert [(record["attempt"], record["status"]) for record in finals] == [
        (1, "infra"),
        (2, "pass"),
    ]


def test_abort_cancels_what_runs(tmp_path: Path) -> None:
    def listen(event: Event) -> None:
        if isinstance(event, TestStarted):
            orchestrator.abort("enough")

    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.subscribe(listen)
    orchestrator.add_platform("p", suite_of(tmp_path, "sleep 60", "true"))
    orchestrator.add_provisioner(LocalProvisioner, platform="p")
    summary = orchestrator.run()
    assert summary.counts == {"infra": 2}
    assert {record.note for record in summary.infra} == {"enough"}
    assert summary.left == {}


def test_many_machines_and_many_tests(tmp_path: Path) -> None:
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.add_platform("p", suite_of(tmp_path, *["true"] * 100))
    orchestrator.add_provisioner(LocalProvisioner, platform="p", max_workers=4)
    threads = threading.active_count()
    assert orchestrator.run().counts == {"pass": 100}
    assert threading.active_count() == threads


def beside_local(sshd: Sshd) -> Host:
    """`sshd`, in a slot of its own beside LocalProvisioner: it is this machine, too."""
    return host_of(sshd, slots=("ssh",))


def lose(sshd: Sshd) -> None:
    """From here on nobody reaches the machine."""
    sshd.stop()
    sshd.kill_sessions()


@pytest.mark.leaves_leases
@pytest.mark.usefixtures("own_home")
def test_a_machine_that_is_lost_costs_one_attempt(tmp_path: Path, sshd: Sshd) -> None:
    lost_tests: list[str] = []
    doomed = beside_local(sshd)

    def listen(event: Event) -> None:
        if isinstance(event, TestStarted) and event.machine == doomed.name:
            lost_tests.append(event.test)
            lose(sshd)

    orchestrator = Orchestrator(tmp_path / "run", times=Times(patience=1.0))
    orchestrator.subscribe(listen)
    orchestrator.add_platform("p", suite_of(tmp_path, *["sleep 1"] * 4))
    orchestrator.add_provisioner(HostPool([doomed], patience=0).provisioner, platform="p")
    orchestrator.add_provisioner(LocalProvisioner, platform="p")
    summary = orchestrator.run()
    assert summary.counts == {"pass": 4}  # it was tried again on the other one
    trouble = summary.troubles[0]
    assert (trouble.machine, trouble.during) == (doomed.name, "test")
    assert trouble.tests == tuple(lost_tests)
    assert {trouble.during for trouble in summary.troubles[1:]} == {"reserve"}  # of its successor
    assert list(summary.left) == [doomed.name]


@pytest.mark.leaves_leases
@pytest.mark.usefixtures("own_home")
def test_when_the_only_machine_is_lost_the_rest_has_the_reason(tmp_path: Path, sshd: Sshd) -> None:
    def listen(event: Event) -> None:
        if isinstance(event, TestStarted):
            lose(sshd)

    orchestrator = Orchestrator(tmp_path / "run", times=Times(patience=1.0))
    orchestrator.subscribe(listen)
    orchestrator.add_platform("p", suite_of(tmp_path, "sleep 1", "true", "true"))
    orchestrator.add_provisioner(
        HostPool([beside_local(sshd)], patience=0).provisioner, platform="p"
    )
    summary = orchestrator.run()
    assert summary.counts == {"infra": 3}
    assert summary.stopped is None
    notes = {record.test: record.note or "" for record in summary.infra}
    assert notes["/t2"] == notes["/t3"]
    assert "no machine of platform p is left" in notes["/t2"]
    assert notes["/t1"] in notes["/t2"]


@pytest.mark.leaves_leases
@pytest.mark.usefixtures("own_home")
def test_a_machine_that_is_lost_while_it_is_prepared(tmp_path: Path, sshd: Sshd) -> None:
    """Another one of its pool is asked for: there is none, and the tests say both."""
    losing: list[Background[None]] = []
    begun = tmp_path / "begun"
    prepare = Phase(name="setup", how="shell", script=(f"touch {begun}; sleep 60",))

    def listen(event: Event) -> None:
        if isinstance(event, MachineReserved):
            losing.append(Background(lose_when_begun))

    def lose_when_begun() -> None:
        eventually(begun.exists)
        lose(sshd)

    orchestrator = Orchestrator(tmp_path / "run", times=Times(patience=1.0))
    orchestrator.subscribe(listen)
    orchestrator.add_platform("p", suite_of(tmp_path, "true", plan=Plan(prepare=(prepare,))))
    orchestrator.add_provisioner(HostPool([host_of(sshd)], patience=0).provisioner, platform="p")
    summary = orchestrator.run()
    for loss in losing:
        loss.result()
    assert summary.counts == {"infra": 1}
    assert [trouble.during for trouble in summary.troubles] == ["prepare", "reserve"]
    note = summary.infra[0].note or ""
    assert "lost in prepare phase 'setup'" in note
    assert "no host of the pool can be used" in note
    assert list(summary.left) == [host_of(sshd).name]


def test_a_machine_that_a_test_takes_out_of_use(tmp_path: Path) -> None:
    """It runs its finish phases and no further test; others go on. Marks are on the machine."""
    machines: list[Machine] = []

    class Kept(LocalProvisioner):
        def reserve(self) -> Machine:
            machines.append(super().reserve())
            return machines[-1]

    wait = f"until [ -e {tmp_path}/aborted ]; do sleep 0.01; done"
    abort = "{ echo mark snapshot=s1; echo abort it burns; } >&$ATEX_TEST_CONTROL; sleep 60"
    phase = Phase(name="clean", how="shell", script=("echo cleaned",))
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if isinstance(event, MachineFailed):
            (tmp_path / "aborted").touch()

    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.subscribe(listen)
    suite = suite_of(tmp_path, abort, wait, "true", "true", plan=Plan(finish=(phase,)))
    orchestrator.add_platform("p", suite)
    orchestrator.add_provisioner(Kept, platform="p", max_workers=2)
    summary = orchestrator.run()
    assert summary.counts == {"error": 1, "pass": 3}
    [failed] = [event for event in events if isinstance(event, MachineFailed)]
    assert (failed.during, failed.reason) == ("test", "it burns")
    finished = [event for event in events if isinstance(event, TestFinished)]
    assert [event.test for event in finished if event.machine == failed.machine] == ["/t1"]
    marks = Counter(machine.marks.get("snapshot") for machine in machines)
    assert marks["s1"] == 1  # its successor may have come
    cleaned = [path.read_text() for path in (tmp_path / "run/files").rglob("clean.txt")]
    assert len(cleaned) >= 2
    assert set(cleaned) == {"cleaned\n"}
