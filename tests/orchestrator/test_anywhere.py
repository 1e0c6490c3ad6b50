"""Tests that are bound to no platform."""

from pathlib import Path

import msgspec
import pytest
from atex_fmf import Phase, Plan, Suite, Test
from atex_orchestrator import Orchestrator, SetupError, Summary, summarize
from atex_orchestrator.events import Event, TestStarted
from atex_orchestrator.results import ANY, PlatformInfo, RunInfo, read_events, read_finals
from atex_provision import LocalProvisioner

from tests.orchestrator.provisioners import Refusing
from tests.orchestrator.run_folders import final

SETUP = Phase(name="setup", how="shell", script=("true",))
NO_PLAN = Plan()
PLAN = Plan(prepare=(SETUP,), environment={"COLOUR": "red"})


def suite_of(tmp_path: Path, *scripts: str, plan: Plan = NO_PLAN) -> Suite:
    tests = tuple(Test(name=f"/t{n}", test=text) for n, text in enumerate(scripts, start=1))
    return Suite(root=str(tmp_path), tests=tests, plan=plan)


def two_platforms(tmp_path: Path, *, plan: Plan = NO_PLAN) -> Orchestrator:
    orchestrator = Orchestrator(tmp_path / "run", exclude=["/run/"])
    orchestrator.add_platform("p", suite_of(tmp_path, "sleep 0.1", plan=plan))
    orchestrator.add_platform("q", suite_of(tmp_path, "sleep 0.1", "false", plan=plan))
    return orchestrator


def test_each_runs_once_on_a_machine_of_either(tmp_path: Path) -> None:
    meet = f"touch {tmp_path}/$$; until [ $(ls {tmp_path} | grep -c '^[0-9]') = 2 ]; do sleep 0.01; done"
    orchestrator = two_platforms(tmp_path)
    orchestrator.add_tests(suite_of(tmp_path, meet, meet))
    orchestrator.add_tests(suite_of(tmp_path, "false"))
    for platform in ("p", "q"):
        orchestrator.add_provisioner(LocalProvisioner, platform=platform)
    summary = orchestrator.run()
    assert summary.counts == {"pass": 4, "fail": 2}
    assert summary.missing == ()
    records = [record for record in read_finals(tmp_path / "run") if record.serial > 2]
    assert sorted(record.serial for record in records) == [3, 4, 5]
    assert {record.platform for record in records if record.serial < 5} == {"p", "q"}
    started = [event for event in read_events(tmp_path / "run") if isinstance(event, TestStarted)]
    assert {(event.serial, event.platform) for event in started if event.serial > 2} == {
        (record.serial, record.platform) for record in records
    }
    assert summary.info.anywhere == {3: "/t1", 4: "/t2", 5: "/t1"}


def test_a_platform_may_have_none_of_its_own(tmp_path: Path) -> None:
    orchestrator = Orchestrator(tmp_path / "run", exclude=["/run/"])
    orchestrator.add_platform("p", suite_of(tmp_path))
    orchestrator.add_tests(suite_of(tmp_path, "true", "true"))
    orchestrator.add_provisioner(LocalProvisioner, platform="p", max_workers=2)
    assert orchestrator.run().counts == {"pass": 2}


def test_one_platform_without_machines_costs_them_nothing(tmp_path: Path) -> None:
    orchestrator = two_platforms(tmp_path)
    orchestrator.add_tests(suite_of(tmp_path, "true", "true"))
    orchestrator.add_provisioner(Refusing, platform="p")
    orchestrator.add_provisioner(LocalProvisioner, platform="q")
    assert orchestrator.run().counts == {"pass": 3, "fail": 1, "infra": 1}


def test_without_any_machine_each_has_one_record(tmp_path: Path) -> None:
    orchestrator = two_platforms(tmp_path)
    orchestrator.add_tests(suite_of(tmp_path, "true"))
    for platform in ("p", "q"):
        orchestrator.add_provisioner(Refusing, platform=platform)
    summary = orchestrator.run()
    assert summary.counts == {"infra": 4}
    [record] = [record for record in summary.infra if record.serial == 3]
    assert record.platform == ANY
    assert "it is broken" in (record.note or "")


def test_when_the_run_is_stopped_each_has_one_record(tmp_path: Path) -> None:
    orchestrator = two_platforms(tmp_path)
    orchestrator.add_tests(suite_of(tmp_path, "true"))
    for platform in ("p", "q"):
        orchestrator.add_provisioner(LocalProvisioner, platform=platform)
    orchestrator.abort("not today")
    summary = orchestrator.run()
    assert summary.counts == {"infra": 4}
    assert [record.platform for record in summary.infra if record.serial == 3] == [ANY]


@pytest.mark.parametrize("platform", [ANY, "p"])
def test_one_can_be_aborted_wherever_it_runs(tmp_path: Path, platform: str) -> None:
    def listen(event: Event) -> None:
        if isinstance(event, TestStarted) and event.serial == 2:
            orchestrator.abort_test(platform, 2, "enough of that")

    orchestrator = Orchestrator(tmp_path / "run", exclude=["/run/"])
    orchestrator.subscribe(listen)
    orchestrator.add_platform("p", suite_of(tmp_path, "true"))
    orchestrator.add_tests(suite_of(tmp_path, "sleep 60", "true"))
    orchestrator.add_provisioner(LocalProvisioner, platform="p")
    summary = orchestrator.run()
    assert summary.counts == {"pass": 2, "infra": 1}
    assert [record.note for record in summary.infra] == ["enough of that"]


@pytest.mark.parametrize(
    ("root", "plan", "lacking"),
    [
        ("/elsewhere", Plan(), "tree /elsewhere"),
        ("", Plan(prepare=(SETUP, Phase(name="more", how="shell"))), "prepare phase 'more'"),
        ("", Plan(finish=(SETUP,)), "finish phase 'setup'"),
        ("", Plan(environment={"COLOUR": "blue"}), "variable COLOUR of the plan"),
    ],
)
def test_what_they_rely_on_is_on_every_platform(
    tmp_path: Path, root: str, plan: Plan, lacking: str
) -> None:
    orchestrator = two_platforms(tmp_path, plan=PLAN)
    suite = suite_of(tmp_path, "true", plan=plan)
    orchestrator.add_tests(msgspec.structs.replace(suite, root=root or suite.root))
    for platform in ("p", "q"):
        orchestrator.add_provisioner(LocalProvisioner, platform=platform)
    with pytest.raises(SetupError, match=lacking):
        orchestrator.run()
    assert not (tmp_path / "run").exists()


def test_a_platform_may_ask_for_more(tmp_path: Path) -> None:
    orchestrator = Orchestrator(tmp_path / "run", exclude=["/run/"])
    orchestrator.add_platform("p", suite_of(tmp_path, "true", plan=PLAN))
    orchestrator.add_tests(suite_of(tmp_path, 'test "$COLOUR" = red'))
    orchestrator.add_provisioner(LocalProvisioner, platform="p")
    assert orchestrator.run().counts == {"pass": 2}


def test_no_platform_has_the_name_of_all(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="can be called any"):
        Orchestrator(tmp_path / "run").add_platform(ANY, suite_of(tmp_path, "true"))


def summary_of(folder: Path, records: list[dict[str, object]]) -> Summary:
    platforms = [PlatformInfo(name=name, tree="/tree", tests={1: "/t1"}) for name in ("p", "q")]
    info = RunInfo(started="", platforms=platforms, anywhere={2: "/t2"})
    (folder / "run.json").write_bytes(msgspec.json.encode(info))
    (folder / "results.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(records))
    (folder / "events.jsonl").touch()
    return summarize(folder)


def test_a_summary_counts_each_once_wherever_its_attempts_ran(tmp_path: Path) -> None:
    attempts = [final(2, "fail"), {**final(2, "pass", attempt=2), "platform": "q"}]
    summary = summary_of(tmp_path, [final(1, "pass"), *attempts])
    assert summary.counts == {"pass": 2}
    assert summary.missing == (("q", 1, "/t1"),)


def test_a_summary_misses_it_on_no_platform(tmp_path: Path) -> None:
    assert summary_of(tmp_path, [final(1, "pass")]).missing == (("q", 1, "/t1"), (ANY, 2, "/t2"))
