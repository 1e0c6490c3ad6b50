"""Machines whose prepare fails, and what becomes of the tests."""

from collections.abc import Callable
from pathlib import Path

import pytest
from atex_fmf import Phase, Plan, Suite, Test
from atex_orchestrator import MachineTrouble, Orchestrator, Summary
from atex_orchestrator.events import Event, MachineFailed, MachineRequested
from atex_orchestrator.results import read_events
from atex_provision import Host, HostPool, LocalConnection, LocalProvisioner, Provisioner

from tests.orchestrator.provisioners import Fresh


def prepare(script: str) -> Plan:
    return Plan(prepare=(Phase(name="setup", how="shell", script=(script,)),))


def run(
    tmp_path: Path,
    plan: Plan,
    *factories: Callable[[], Provisioner],
    secrets: dict[str, str] | None = None,
) -> Summary:
    """Run two tests on machines that are prepared by `plan`, where $HERE is a folder that they share."""
    (tmp_path / "tree").mkdir()
    suite = Suite(
        root=str(tmp_path / "tree"),
        tests=(Test(name="/a", test="true"), Test(name="/b", test="true")),
        plan=plan,
    )
    orchestrator = Orchestrator(
        tmp_path / "run", environment={"HERE": str(tmp_path)}, secrets=secrets or {}
    )
    orchestrator.add_platform("p", suite)
    for factory in factories:
        orchestrator.add_provisioner(factory, platform="p")
    return orchestrator.run()


def test_another_machine_is_taken(tmp_path: Path) -> None:
    summary = run(tmp_path, prepare("mkdir $HERE/second || exit 0; echo no luck; exit 3"), Fresh)
    assert summary.counts == {"pass": 2}
    [trouble] = summary.troubles
    assert trouble == MachineTrouble(
        machine=trouble.machine,
        platform="p",
        during="prepare",
        reason=f"{trouble.machine}: prepare phase 'setup' failed: exit code 3",
        output=f"p/@prepare.{trouble.machine}/setup.txt",
        tail=("no luck",),
    )
    assert (tmp_path / "run/files" / trouble.output).read_text() == "no luck\n"


def test_when_no_machine_can_be_prepared_every_test_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atex_orchestrator.scheduling.scheduler.REPLACEMENTS", 2)
    summary = run(tmp_path, prepare("seq 100; exit 3"), Fresh)
    assert summary.counts == {"infra": 2}
    [note] = {record.note or "" for record in summary.infra}
    lines = note.splitlines()
    assert lines[0] == "no machine of platform p is left:"
    assert sum("prepare phase 'setup' failed: exit code 3" in line for line in lines) == 3
    assert lines.count("    100") == 1
    assert len(summary.troubles) == 3


def test_a_machine_that_is_always_the_same_is_prepared_once(tmp_path: Path) -> None:
    summary = run(tmp_path, prepare("echo prepared >>$HERE/prepared; exit 3"), LocalProvisioner)
    assert summary.counts == {"infra": 2}
    assert (tmp_path / "prepared").read_text() == "prepared\n"
    [note] = {record.note for record in summary.infra}
    assert note == (
        "no machine of platform p is left:\nlocal: prepare phase 'setup' failed: exit code 3;"
        " its output is in files/p/@prepare.local/setup.txt"
    )
    requested = [e for e in read_events(tmp_path / "run") if isinstance(e, MachineRequested)]
    assert len(requested) == 2


@pytest.mark.parametrize(
    ("script", "failed"),
    [("mkdir $HERE/used || exit 0; exit 1", ["a"]), ("exit 1", ["a", "b", "c"])],
)
def test_hosts_of_a_pool_are_tried_one_after_the_other_and_once(
    tmp_path: Path, script: str, failed: list[str]
) -> None:
    hosts = [Host(address=name, slots=(name,)) for name in ("a", "b", "c")]
    pool = HostPool(hosts, connection=lambda host: LocalConnection())
    summary = run(tmp_path, prepare(script), pool.provisioner)
    assert [trouble.machine for trouble in summary.troubles] == failed
    assert summary.counts == ({"infra": 2} if len(failed) == len(hosts) else {"pass": 2})


def test_secrets_that_a_phase_prints_are_in_its_own_file_alone(tmp_path: Path) -> None:
    secret = "correct-horse-battery-staple"
    plan = prepare("echo it is $TOKEN; exit 1")
    summary = run(tmp_path, plan, LocalProvisioner, secrets={"TOKEN": secret})
    assert summary.troubles[0].tail == ("it is ***",)
    stored = [file for file in (tmp_path / "run").rglob("*") if file.is_file()]
    [output] = [file for file in stored if secret.encode() in file.read_bytes()]
    assert output.name == "setup.txt"


def test_the_other_machines_go_on(tmp_path: Path) -> None:
    only_once = Phase(name="prepare", how="shell", script=(f"mkdir {tmp_path}/only-once",))
    wait = f"until [ -e {tmp_path}/failed ]; do sleep 0.01; done"

    def listen(event: Event) -> None:
        if isinstance(event, MachineFailed):
            (tmp_path / "failed").touch()

    (tmp_path / "tree").mkdir()
    tests = tuple(Test(name=f"/{n}", test=script) for n, script in enumerate((wait, "true")))
    suite = Suite(root=str(tmp_path / "tree"), tests=tests, plan=Plan(prepare=(only_once,)))
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.subscribe(listen)
    orchestrator.add_platform("p", suite)
    orchestrator.add_provisioner(LocalProvisioner, platform="p", max_workers=2)
    summary = orchestrator.run()
    assert summary.counts == {"pass": 2}
    [trouble] = summary.troubles
    assert trouble.during == "prepare"
