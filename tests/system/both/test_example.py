"""examples/both: the same tests and the same verdicts, whoever runs them."""

import pytest
from atex_orchestrator.results import read_records

from tests.cli.command import Atex
from tests.machines import LightHost
from tests.system.both.tmt import NEEDED, Tmt
from tests.workspace.readme import ROOT

TREE = ROOT / "examples/both"
SPOILED = ["-e", "FORMATS=rar"]
VERDICTS = [("/tests/archives", "fail"), ("/tests/room", "pass")]
PARTS = [
    ("/tests/archives", "rar", "fail"),
    ("/tests/room", "room in /tmp", "pass"),
    ("/tests/room", "room in /var/tmp", "pass"),
]


@pytest.mark.needs(*NEEDED)
def test_both_run_the_same_tests(tmt: Tmt, atex: Atex, light_host: LightHost) -> None:
    theirs = tmt.run(TREE, "/plans/both", *SPOILED)
    verdicts = [(result["name"], result["result"]) for result in theirs.results]
    assert verdicts == VERDICTS, theirs.err
    assert not any(result["subresult"] for result in theirs.results)

    on = ["--on", f"ssh:{light_host.user}@{light_host.address}"]
    on += ["--identity", str(light_host.identity), "--output", str(atex.results)]
    ours = atex("run", TREE, *on, *SPOILED)
    records = list(read_records(atex.results))
    finals = [record for record in records if record.get("final")]
    assert [(final["test"], final["status"]) for final in finals] == VERDICTS, ours.err
    assert [(r["test"], r["name"], r["status"]) for r in records if "name" in r] == PARTS
    assert ours.code == theirs.code
