"""examples/two_platforms.py, as docs/orchestrating.md shows it, on containers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from atex_orchestrator import summarize
from atex_orchestrator.events import TestStarted
from atex_orchestrator.results import read_events, read_finals
from atex_provision import LeaseJournal

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/two_platforms.py"
TREE = """\
/setup: {test: "atex-control mark snapshot", extra-priority: 1}
/flaky: {test: "case $TMT_TEST_ITERATION_ID in *.1) exit 1; esac"}
/plain: {test: "true"}
/snapped: {test: "true", tag: [snapshot], extra-priority: -1}
/only: {test: "true", adjust: [{when: distro == two, enabled: false}]}
"""


def test_the_page_shows_the_file() -> None:
    source = EXAMPLE.read_text()
    page = (ROOT / "docs/orchestrating.md").read_text()
    assert re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)[0] == source
    assert source.count("\n") <= 25


@pytest.mark.usefixtures("own_home")
def test_two_platforms(tmp_path: Path, podman_image: str) -> None:
    tree = tmp_path / "tree"
    (tree / ".fmf").mkdir(parents=True)
    (tree / ".fmf/version").write_text("1\n")
    (tree / "main.fmf").write_text(TREE)
    ended = subprocess.run(
        [sys.executable, EXAMPLE, tree, f"one={podman_image}", f"two={podman_image}"],
        cwd=tmp_path,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout == "{'pass': 9}\n"
    records = list(read_finals(tmp_path / "run"))
    lines = [f"{each.status} {each.platform} {each.test} {each.attempt}" for each in records]
    assert sorted((tmp_path / "verdicts.txt").read_text().splitlines()) == sorted(lines)
    assert {"fail one /flaky 1", "pass one /flaky 2", "fail two /flaky 1"} < {*lines}
    assert summarize(tmp_path / "run").counts == {"pass": 9}
    started = [event for event in read_events(tmp_path / "run") if isinstance(event, TestStarted)]
    for platform in ("one", "two"):
        there = [event.test for event in started if event.platform == platform]
        assert there.count("/flaky") == 2
    assert LeaseJournal().leases() == []
