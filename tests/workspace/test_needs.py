"""The mark `needs`."""

from tests.workspace.conftest import InnerPytest

SOURCE = """
import pytest


@pytest.mark.needs("true", "sh")
def test_with_all_it_needs():
    pass


@pytest.mark.needs("sh", "no-such-command")
def test_without():
    raise AssertionError("runs all the same")
"""


def test_skips_where_a_command_is_missing(inner_pytest: InnerPytest) -> None:
    result = inner_pytest(SOURCE, "-rs", plugins=["tests.plugins.needs"])
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*no no-such-command here (scripts/test installs it*"])
