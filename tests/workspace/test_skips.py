"""Skipped tests: named in the last lines, forbidden on request."""

import pytest

from tests.workspace.conftest import InnerPytest

PLUGINS = ["tests.plugins.skips"]

SKIPPING = """
import pytest


def test_passes():
    pass


@pytest.mark.skip(reason="needs root")
def test_by_mark():
    pass


@pytest.mark.parametrize("backend", ["podman", "libvirt"])
def test_by_call(backend):
    pytest.skip(f"needs {backend}")


@pytest.mark.xfail(reason="known")
def test_expected_to_fail():
    assert False
"""

EACH_WITH_ITS_REASON = [
    "  needs libvirt",
    "    test_inner.py::test_by_call[[]libvirt[]]",
    "  needs podman",
    "    test_inner.py::test_by_call[[]podman[]]",
    "  needs root",
    "    test_inner.py::test_by_mark",
]

here_and_below_xdist = pytest.mark.parametrize("arguments", [[], ["-n2"]], ids=["here", "xdist"])


def test_last_lines_name_what_was_skipped(inner_pytest: InnerPytest) -> None:
    result = inner_pytest(SKIPPING, plugins=PLUGINS)
    assert result.ret == pytest.ExitCode.OK
    last_lines = ["*1 passed, 3 skipped, 1 xfailed*", "", "SKIPPED: 3", *EACH_WITH_ITS_REASON]
    result.stdout.fnmatch_lines(last_lines, consecutive=True)


@here_and_below_xdist
def test_no_skips_turns_the_run_red(inner_pytest: InnerPytest, arguments: list[str]) -> None:
    result = inner_pytest(SKIPPING, "--no-skips", *arguments, plugins=PLUGINS)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    why = "SKIPPED: 3, and nothing may be (CI=true or --no-skips)"
    result.stdout.fnmatch_lines([why, *EACH_WITH_ITS_REASON], consecutive=True)


def test_ci_allows_no_skips(inner_pytest: InnerPytest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert inner_pytest(SKIPPING, plugins=PLUGINS).ret == pytest.ExitCode.TESTS_FAILED


@here_and_below_xdist
def test_a_file_skipped_as_a_whole_counts(inner_pytest: InnerPytest, arguments: list[str]) -> None:
    source = "import pytest\npytest.skip('needs a moon', allow_module_level=True)"
    result = inner_pytest(source, "--no-skips", *arguments, plugins=PLUGINS)
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["SKIPPED: 1*", "  needs a moon", "    test_inner.py"], consecutive=True
    )


def test_silent_when_nothing_was_skipped(inner_pytest: InnerPytest) -> None:
    result = inner_pytest("def test_passes(): pass", "--no-skips", plugins=PLUGINS)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("*SKIPPED*")
