"""Packages: `how: install` of a plan, and what tests require and recommend, by the real dnf and rpm of light hosts."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from atex_executor import FolderSink, PhaseFailed, SinkFull, phases
from atex_fmf import Phase, Plan, Test
from atex_provision import LocalConnection

from tests.executor.conftest import Execute, OnHost, Run, Tools
from tests.machines import LightHost, Repository
from tests.waits import Background, eventually


def install(name: str, *package: str, **more: Any) -> Phase:
    return Phase(name=name, how="install", package=package, **more)


def needing(name: str, *require: Any, **more: Any) -> Test:
    return Test(name=name, test="rpm -qa", require=require, **more)


def prepared(run: Run, name: str) -> str:
    """What a phase of prepare printed."""
    return run.file(f"local/@prepare.local/{name}.txt").decode()


def test_all_phases_in_tmts_order(
    dnf_host: LightHost, on_host: OnHost, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """Packages of the plan, then at 70 those required, at 75 those recommended; files of the tree are there anyway."""
    plan = Plan(
        prepare=(
            Phase(name="early", how="shell", script=("echo $(rpm -qa)",)),
            install("packages", "perl(One)"),
            Phase(name="between", how="shell", script=("echo $(rpm -qa)",), order=70),
            Phase(name="late", how="shell", script=("echo $(rpm -qa)",), order=71),
        )
    )
    tests = (
        needing("/a", "/var/lib/one/file", "two", {"type": "file", "pattern": ["/x"]}),
        needing("/b", "two", recommend=("nothing-like-this", "broken", "three")),
    )
    executor = on_host(dnf_host, *tests, plan=plan)
    executor.prepare(run.sink)
    assert prepared(run, "early") == "\n"
    assert prepared(run, "between") == "one-1.0-1.noarch\n"
    assert "missing: two\n" in prepared(run, "require")
    assert sorted(prepared(run, "late").split()) == ["one-1.0-1.noarch", "two-1.0-1.noarch"]
    assert "Installed:\n  three-1.0-1.noarch" in prepared(run, "recommend")
    assert not caplog.records
    outcomes = [executor.run(test, run.sink) for test in executor.suite.tests]
    assert [outcome.status for outcome in outcomes] == ["pass", "pass"]
    assert run.output(outcomes[0].record).count("noarch") == 3
    assert not list((run.sink.folder / "files").rglob("require.?.*"))


# Where not all can be installed ----------------------------------------------------------------------


def test_a_bad_package_costs_only_those_that_require_it(
    dnf_host: LightHost, on_host: OnHost, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    transactions = dnf_host.folder / "root/transactions"
    dnf = dnf_host.folder / "machine/bin/dnf"
    dnf.write_text('#!/bin/sh\necho "$@" >>/root/transactions\nexec /usr/bin/dnf "$@"\n')
    dnf.chmod(0o755)
    tests = (
        needing("/good", "one"),
        needing("/bad", "two", "broken"),
        needing("/bad-too", "one", "broken", "two"),
        needing("/none"),
        needing("/other", "two", "one"),
        needing("/unknown", "what-nobody-has"),
        needing("/again", "one"),
    )
    executor = on_host(dnf_host, *tests)
    executor.prepare(run.sink)
    (warning,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert "'require' failed" in warning.getMessage()
    assert "the packages of each test are tried before it" in warning.getMessage()
    before = len(transactions.read_text().splitlines())
    assert before == 3  # install, clean, install
    outcomes = [executor.run(test, run.sink) for test in executor.suite.tests]
    statuses = [outcome.status for outcome in outcomes]
    assert statuses == ["pass", "infra", "infra", "pass", "pass", "infra", "pass"]
    assert all(outcome.machine_usable for outcome in outcomes)
    _, bad, bad_too, _, _, unknown, _ = outcomes
    note = "its packages could not be installed: Error:; Problem: conflicting requests; - nothing provides"
    assert (bad.note or "").startswith(f"{note} what-nobody-provides needed by broken-1.0-1")
    assert (bad_too.note, bad_too.record["files"]) == (bad.note, bad.record["files"])
    assert bad.record["files"] == ["local/@prepare.local/require.2.1.txt"]
    assert "conflicting requests" in run.output(bad.record)
    assert unknown.note == (
        "its packages could not be installed: Error: Unable to find a match: what-nobody-has"
    )
    after = transactions.read_text().splitlines()[before:]
    assert after == [
        f"-y install {names}" for names in ("one", "broken two", "two", "what-nobody-has")
    ]
    assert run.records() == [outcome.record for outcome in outcomes]


def test_what_is_there_costs_a_query_and_no_transaction(
    dnf_host: LightHost, on_host: OnHost, run: Run
) -> None:
    for tool in ("rpm", "dnf"):
        wrapper = dnf_host.folder / f"machine/bin/{tool}"
        wrapper.write_text(f'#!/bin/sh\necho {tool} >>/root/calls\nexec /usr/bin/{tool} "$@"\n')
        wrapper.chmod(0o755)
    bring = Phase(name="bring", how="shell", script=("rpm -i /root/repository/one*.rpm",))
    test = needing("/test", "perl(One)", "/var/lib/one/file", "virtual-one")
    executor = on_host(dnf_host, test, plan=Plan(prepare=(bring,)))
    executor.prepare(run.sink)
    assert executor.run(executor.suite.tests[0], run.sink).status == "pass"
    calls = (dnf_host.folder / "root/calls").read_text().split()
    assert calls == ["rpm", "rpm", "rpm"]  # the phase, the query, the test
    assert (
        prepared(run, "require") == "installed already: perl(One) /var/lib/one/file virtual-one\n"
    )


def test_without_prepare_a_tests_packages_come_before_it(
    dnf_host: LightHost, on_host: OnHost, run: Run
) -> None:
    """As where another process has prepared the machine."""
    executor = on_host(dnf_host, needing("/test", "one-1.0"))
    first, second = (
        executor.run(executor.suite.tests[0], run.sink, attempt=attempt) for attempt in (1, 2)
    )
    assert (first.status, second.status) == ("pass", "pass")
    assert "missing: one-1.0\n" in prepared(run, "require.1.1")
    assert not list((run.sink.folder / "files").rglob("require.1.2.txt"))


# how: install ----------------------------------------------------------------------------------------


def test_all_that_packages_can_be_named_by(
    dnf_host: LightHost, on_host: OnHost, run: Run, tree: Path, repository: Repository
) -> None:
    (tree / "rpms").mkdir()
    shutil.copy(repository.folder / "three-1.0-1.noarch.rpm", tree / "rpms")
    packages = install(
        "packages",
        "rpms/three-1.0-1.noarch.rpm",
        "file:///root/repository/two-1.0-1.noarch.rpm",
        "on*",
        "/var/lib/one/file",
        "virtual-one >= 0",
    )
    again = install("again", "one-1.0-1", "two.noarch", "three")
    executor = on_host(dnf_host, "true", plan=Plan(prepare=(packages, again)))
    executor.prepare(run.sink)
    assert prepared(run, "packages").endswith("Complete!\n")
    assert prepared(run, "again") == "installed already: one-1.0-1 two.noarch three\n"


def test_what_is_missing_fails_or_is_skipped(
    dnf_host: LightHost, on_host: OnHost, run: Run
) -> None:
    skip = install("skip", "one", "$(touch /root/ran)", "two", "broken", missing="skip")
    skip = msgspec.structs.replace(skip, exclude=("two",))
    fail = install("fail", "one", "two", "what-nobody-has")
    executor = on_host(dnf_host, "true", plan=Plan(prepare=(skip, fail)))
    with pytest.raises(PhaseFailed, match="'fail' failed: exit code 1") as failed:
        executor.prepare(run.sink)
    assert "Installed:\n  one-1.0-1.noarch" in prepared(run, "skip")
    assert not (dnf_host.folder / "root/ran").exists()
    assert "missing: two what-nobody-has\n" in prepared(run, "fail")
    assert failed.value.tail[-1] == "Error: Unable to find a match: what-nobody-has"
    assert failed.value.status == "fail"
    assert executor.alive


def test_a_repository_that_has_changed_since_it_was_asked(
    dnf_host: LightHost, on_host: OnHost, run: Run, tmp_path: Path
) -> None:
    changed = Repository(tmp_path / "repository")
    changed.add("two", version="2.0")
    changed.publish()
    change = "rm -r /root/repository; mv /root/changed /root/repository"
    plan = Plan(
        prepare=(
            install("before", "one"),
            Phase(name="change", how="shell", script=(change,)),
            install("after", "two"),
        )
    )
    shutil.copytree(changed.folder, dnf_host.folder / "root/changed")
    on_host(dnf_host, "true", plan=plan).prepare(run.sink)
    once, again = prepared(run, "after").split("once more, with metadata of now\n")
    assert "two-1.0-1.noarch" in once
    assert "Installed:\n  two-2.0-1.noarch" in again


def test_a_system_that_runs_from_an_image(dnf_host: LightHost, on_host: OnHost, run: Run) -> None:
    boot = Phase(name="boot", how="shell", script=("touch /run/ostree-booted",))
    executor = on_host(dnf_host, needing("/test", "one"), plan=Plan(prepare=(boot,)))
    executor.prepare(run.sink)
    outcome = executor.run(executor.suite.tests[0], run.sink)
    assert outcome.status == "infra"
    assert outcome.note == (
        "its packages could not be installed: missing: one; packages are not supported yet on"
        " machines that run from an image (ostree, bootc)"
    )


# Interruptions ---------------------------------------------------------------------------------------

HANGS = "echo begun; sleep 60"


@pytest.fixture
def local(own_home: Path) -> LocalConnection:
    return LocalConnection()


def test_cancel_while_packages_are_installed(
    local: LocalConnection, execute: Execute, run: Run, tools: Tools
) -> None:
    environment = tools(rpm="exit 1", dnf=HANGS)
    executor = execute(local, needing("/test", "one"), environment=environment)
    output = run.sink.folder / "files/local/@prepare.local/require.txt"
    preparing = Background(lambda: executor.prepare(run.sink))
    eventually(lambda: output.exists() and b"begun" in output.read_bytes())
    executor.cancel("enough", at_once=True)
    with pytest.raises(PhaseFailed, match="'require' failed: enough") as failed:
        preparing.result()
    assert failed.value.status == "infra"
    assert executor.run(executor.suite.tests[0], run.sink).note == "enough"


def test_an_end_while_a_tests_packages_are_installed(
    local: LocalConnection, execute: Execute, run: Run, tools: Tools
) -> None:
    environment = tools(rpm="exit 1", dnf=HANGS)
    executor = execute(local, needing("/test", "one"), environment=environment)
    output = run.sink.folder / "files/local/@prepare.local/require.1.1.txt"
    running = Background(lambda: executor.run(executor.suite.tests[0], run.sink))
    eventually(lambda: output.exists() and b"begun" in output.read_bytes())
    executor.close()
    outcome = running.result()
    assert (outcome.status, outcome.machine_lost) == ("infra", True)
    assert "lost in prepare phase 'require.1.1': the session is closed" in (outcome.note or "")
    assert run.records() == [outcome.record]


def test_packages_that_take_too_long(
    local: LocalConnection,
    execute: Execute,
    run: Run,
    tools: Tools,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(phases, "PHASE_LIMIT", 0.5)
    environment = tools(rpm="exit 1", dnf=HANGS)
    executor = execute(local, needing("/test", "one"), environment=environment)
    (tolerated,) = executor.prepare(run.sink)
    assert "ran longer than 0.5s; the packages of each test" in str(tolerated)
    outcome = executor.run(executor.suite.tests[0], run.sink)
    assert outcome.status == "infra"
    assert (outcome.note or "").endswith("'require.1.1' failed: ran longer than 0.5s")
    assert executor.alive


def test_a_host_that_is_interrupted_meanwhile(
    local: LocalConnection, execute: Execute, run: Run, tools: Tools, ctrl_c: str
) -> None:
    environment = tools(rpm="exit 1", dnf=ctrl_c)
    executor = execute(local, needing("/test", "one"), environment=environment)
    with pytest.raises(KeyboardInterrupt):
        executor.run(executor.suite.tests[0], run.sink)
    (record,) = run.records()
    assert (record["status"], record["note"]) == ("infra", "interrupted on the host")


def test_a_disk_that_is_full_meanwhile(
    local: LocalConnection,
    execute: Execute,
    run: Run,
    tools: Tools,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def output(self: FolderSink, path: str, offset: int, data: bytes) -> None:
        raise SinkFull("no room for results")

    monkeypatch.setattr(FolderSink, "output", output)
    environment = tools(rpm="exit 1", dnf="exit 0")
    executor = execute(local, needing("/test", "one"), environment=environment)
    with pytest.raises(SinkFull, match="no room for results"):
        executor.run(executor.suite.tests[0], run.sink)
    (record,) = run.records()
    assert (record["status"], record["note"]) == ("infra", "no room for results")


def test_names_of_the_plan_are_not_ours(
    local: LocalConnection, execute: Execute, run: Run, all_installed: dict[str, str]
) -> None:
    names = ("recommend.1", "recommendations", "require")
    phases = [Phase(name=name, how="shell", script=("echo of the plan",)) for name in names]
    test = needing("/test", "one", recommend=("two",))
    executor = execute(local, test, plan=Plan(prepare=tuple(phases)), environment=all_installed)
    executor.prepare(run.sink)
    assert [prepared(run, name) for name in names] == ["of the plan\n"] * 3
    assert prepared(run, "require-of-tests") == "installed already: one\n"
    assert prepared(run, "recommend-of-tests") == "installed already: two\n"
