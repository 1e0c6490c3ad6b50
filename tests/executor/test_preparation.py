"""Packages: `how: install` of a plan, and what tests require and recommend, by the real dnf and rpm of light hosts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from atex_executor import Executor
from atex_fmf import Phase, Plan, Test
from atex_provision import Host, SshConnection

from tests.executor.conftest import Run, suite_of
from tests.machines import LightHost

OnHost = Callable[..., Executor]


@pytest.fixture
def on_host(tree: Path, own_home: Path) -> Iterator[OnHost]:
    """`on_host(light_host, *tests, plan=..., ...)`: a started executor, closed after the test."""
    with ExitStack() as stack:

        def on_host(
            host: LightHost, *tests: Test | str, plan: Plan | None = None, **options: Any
        ) -> Executor:
            address = Host(address=host.address, user=host.user, identity=str(host.identity))
            connection = stack.enter_context(SshConnection(address))
            suite = suite_of(tree, *tests, plan=plan)
            return stack.enter_context(Executor(connection, suite, **options))

        yield on_host


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
