"""Tests of other trees: git repositories, revisions of them, and folders."""

from pathlib import Path

import pytest

from tests.fmf.beside_tmt.conftest import Agree

PHASES = {
    "url": "{how: fmf, url: 'URL'}",
    "url-and-path": "{how: fmf, url: 'URL', path: /deep/er}",
    "url-and-ref": "{how: fmf, url: 'URL', ref: v1}",
    "several": "[{how: fmf, url: 'URL', name: far, order: 60}, {how: fmf, name: near}]",
    "ref-by-the-context": "{how: fmf, url: 'URL', ref: $@version}",
    "rules": "{how: fmf, url: 'URL', adjust-tests: {when: version == v1, tag: old}}",
    "shell": "{how: shell, url: 'URL', tests: [{name: /a, test: ls, path: /deep}]}",
    "path": "{how: fmf, path: 'URL/deep/er'}",
}


@pytest.mark.parametrize("phases", PHASES.values(), ids=PHASES)
def test_sources(agree: Agree, remote: Path, phases: str) -> None:
    plan = f"discover: {phases}\nexecute: {{how: tmt}}\n".replace("URL", str(remote))
    files = {"plan.fmf": plan, "own.fmf": "test: ls\n"}
    assert agree(files, context={"version": ["v1"]})["tests"]


def test_a_revision_of_the_plans_own_repository(agree: Agree, remote: Path) -> None:
    (remote / "t.fmf").write_text("test: this was not committed")
    plan = f"discover: {{how: fmf, path: '{remote}', ref: v1}}\nexecute: {{how: tmt}}\n"
    assert len(agree({"plan.fmf": plan})["tests"]) == 1
