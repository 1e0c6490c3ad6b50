"""examples/both: the same tests and the same verdicts, whoever runs them."""

from tests.system.both.sides import Both
from tests.workspace.readme import ROOT


def test_both_run_the_same_tests(both: Both) -> None:
    theirs, ours = both(ROOT / "examples/both", "/plans/both", "-e", "FORMATS=rar")
    verdicts = {"1 /tests/archives": "fail", "2 /tests/room": "pass"}
    assert theirs.verdicts == verdicts, theirs.told
    assert ours.verdicts == verdicts, ours.told
    assert (theirs.code, ours.code) == (1, 1)
    assert theirs.traces == []
    assert ours.traces == [
        "/tests/archives: part rar: fail",
        "/tests/room: part room in /tmp: pass",
        "/tests/room: part room in /var/tmp: pass",
    ]
