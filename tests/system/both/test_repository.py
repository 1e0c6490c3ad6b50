"""A repository written for tmt, run by tmt and by ATEX: what differs is known, with the reason."""

import difflib
import re
from pathlib import Path

import pytest

from tests.system.both.differences import DIFFERENCES
from tests.system.both.sides import Both, copy_repository
from tests.workspace.readme import ROOT

PLANS = ["machine", "merging", "phases", "remote", "script", "verdicts"]


@pytest.mark.parametrize("plan", [f"/plans/{name}" for name in PLANS])
def test_they_differ_only_where_the_page_says_so(both: Both, tmp_path: Path, plan: str) -> None:
    theirs, ours = both(copy_repository(tmp_path), plan, "-e", "COMMAND_LINE=given")
    assert list(ours.verdicts) == list(theirs.verdicts), f"{theirs.told}\n{ours.told}"

    expected = DIFFERENCES if plan == "/plans/verdicts" else []
    verdicts = {
        key.partition(" ")[2]: (theirs.verdicts[key], ours.verdicts[key])
        for key in theirs.verdicts
        if theirs.verdicts[key] != ours.verdicts[key]
    }
    assert verdicts == {name: pair for one in expected for name, pair in one.verdicts.items()}

    traces = [line for line in difflib.ndiff(theirs.traces, ours.traces) if line[0] in "+-"]
    assert sorted(traces) == sorted(trace for one in expected for trace in one.traces)
    assert ours.code == theirs.code


def test_the_page_has_a_row_for_each_difference() -> None:
    page = (ROOT / "docs/tmt.md").read_text()
    (table,) = re.findall(r"<!-- seen -->\n(.*?)\n\n", page, re.DOTALL)
    rows = [f"| {one.what} | {one.tmt} | {one.atex} | {one.why} |" for one in DIFFERENCES]
    assert table.splitlines()[2:] == rows
