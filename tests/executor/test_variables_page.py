"""docs/variables.md has every variable that is set, and no other."""

import re
from pathlib import Path

import pytest
from atex_fmf import Phase, Plan, Test
from atex_provision import LocalConnection
from atex_sut_agent.sut.tools import TOOLS

from tests.executor.conftest import Execute, Run
from tests.workspace.readme import ROOT

PAGE = ROOT / "docs" / "variables.md"

# Of tmt 1.78: docs/overview.rst, "Step Variables" and "Test Variables", and what it sets for its own scripts.
OF_TMT = {
    *("TMT_TREE", "TMT_PLAN_DATA", "TMT_PLAN_ENVIRONMENT_FILE", "TMT_PLAN_SOURCE_SCRIPT"),
    *("TMT_VERSION", "TMT_PREPARE_SHELL_URL_REPOSITORY", "TMT_FINISH_SHELL_URL_REPOSITORY"),
    *("TMT_TEST_NAME", "TMT_TEST_DATA", "TMT_TEST_SERIAL_NUMBER", "TMT_TEST_ITERATION_ID"),
    *("TMT_TEST_METADATA", "TMT_SOURCE_DIR", "TMT_REBOOT_COUNT", "TMT_TEST_RESTART_COUNT"),
    *("TMT_TOPOLOGY_BASH", "TMT_TOPOLOGY_YAML", "TMT_TEST_PIDFILE", "TMT_TEST_PIDFILE_LOCK"),
    *("TMT_TEST_INVOCATION_PATH", "TMT_TEST_SUBMITTED_FILES", "TMT_REBOOT_REQUEST"),
    *("TMT_RESTRAINT_COMPATIBLE", "REBOOTCOUNT", "RSTRNT_REBOOTCOUNT", "RSTRNT_TASKNAME"),
    *("BEAKERLIB_DIR", "BEAKERLIB_COMMAND_REPORT_RESULT", "BEAKERLIB_COMMAND_SUBMIT_LOG", "TESTID"),
}
OF_BASH = {"PWD", "SHLVL", "_", "OLDPWD"}
OF_A_LOGIN = re.compile(r"LANG|LANGUAGE|LC_.*|TZ|XDG_RUNTIME_DIR")
SHOW = "env -0 | tr '\\n\\0' ' \\n'"


@pytest.fixture
def local(own_home: Path) -> LocalConnection:
    return LocalConnection()


def names_in_table(kind: str) -> set[str]:
    """The variables whose last column has `kind`."""
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| .* \| (?:host|agent) \| (.*) \|$", PAGE.read_text(), re.MULTILINE
    )
    assert {word for _, kinds in rows for word in kinds.split(", ")} == {
        "tests",
        "phases",
        "beakerlib tests",
        "tty tests",
    }
    return {name for name, kinds in rows if kind in kinds.split(", ")}


def names_in_output(output: str) -> set[str]:
    names = {line.partition("=")[0] for line in output.splitlines() if "=" in line}
    return {name for name in names - OF_BASH if not OF_A_LOGIN.fullmatch(name)}


def test_the_table_is_what_tests_and_phases_find(
    local: LocalConnection, execute: Execute, run: Run, all_installed: dict[str, str]
) -> None:
    plan = Plan(prepare=(Phase(name="show", how="shell", script=(SHOW,)),))
    tests = (
        Test(name="/plain", test=SHOW),
        Test(name="/beakerlib", test=SHOW, framework="beakerlib"),
        Test(name="/tty", test=SHOW, tty=True),
    )
    executor = execute(local, *tests, plan=plan, environment=all_installed)
    executor.prepare(run.sink)
    (phase,) = (run.sink.folder / "files").rglob("@prepare.*/show.txt")
    plain, beakerlib, tty = [
        names_in_output(run.output(executor.run(test, run.sink).record))
        for test in executor.suite.tests
    ]
    assert names_in_output(phase.read_text()) == names_in_table("phases")
    assert plain == names_in_table("tests")
    assert beakerlib - plain == names_in_table("beakerlib tests")
    assert tty - plain == names_in_table("tty tests")


def test_the_table_has_what_tmt_has_and_we_do_not() -> None:
    ours = names_in_table("tests") | names_in_table("beakerlib tests")
    not_ours = set(re.findall(r"^\| `([A-Z_]+)` \| [^|]+ \|$", PAGE.read_text(), re.MULTILINE))
    assert OF_TMT - ours == not_ours


def test_all_commands_are_named() -> None:
    page = PAGE.read_text()
    assert [tool for tool in TOOLS if f"`{tool}" not in page] == []
