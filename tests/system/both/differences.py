"""Where tmt and ATEX differ in the plan /plans/verdicts of the repository beside this file, and nowhere else.

Each of them is a row of docs/tmt.md.
"""

from collections.abc import Mapping, Sequence

import msgspec


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What is different, and where it shows."""

    what: str
    tmt: str
    atex: str
    why: str
    verdicts: Mapping[str, tuple[str, str]] = {}
    """tmt's and ours, by the names of tests."""

    traces: Sequence[str] = ()
    """What only tmt has (`- ...`), and what only ATEX has (`+ ...`)."""


DIFFERENCES = [
    Difference(
        what="an exit code that is neither 0 nor 1, a death by a signal",
        tmt="`error`",
        atex="`fail`",
        why="an error is for what keeps a test from saying anything; this one has said no",
        verdicts={
            "/tests/verdicts/exit/killed": ("error", "fail"),
            "/tests/verdicts/exit/two": ("error", "fail"),
        },
    ),
    Difference(
        what="`result: xfail`, `info` and others",
        tmt="rewrite the verdict",
        atex="are ignored, and it says so for each test",
        why="a failure is a failure; a reader of the results may expect it, the test may not",
        verdicts={
            "/tests/verdicts/result/info": ("info", "fail"),
            "/tests/verdicts/result/xfail": ("pass", "fail"),
        },
    ),
    Difference(
        what="the verdict of a test with `framework: beakerlib`",
        tmt="what the file `TestResults` says; `error` without one",
        atex="the worst that it reported, or the exit code where it reported nothing",
        why="there is one rule for all tests. BeakerLib reports its phases, so that real tests end alike",
        verdicts={"/tests/verdicts/beakerlib/says-nothing": ("error", "pass")},
    ),
    Difference(
        what="phases of BeakerLib",
        tmt="are in its journal",
        atex="are subtests, as soon as they end",
        why="`BEAKERLIB_COMMAND_REPORT_RESULT` is set",
        traces=["+ /tests/verdicts/beakerlib/reports: part phase: fail"],
    ),
    Difference(
        what="`restart-on-exit-code`, `restart-max-count`, `restart-with-reboot`",
        tmt="start the test again",
        atex="are ignored, and it says so",
        why="a test may restart itself as often as it likes, by `tmt-reboot` or the control file",
        verdicts={"/tests/verdicts/restart": ("pass", "fail")},
        traces=["- restart 1"],
    ),
    Difference(
        what="the folder that a test runs in",
        tmt="is a copy of the tree for each phase of discover, and not below `TMT_TREE`",
        atex="is below `TMT_TREE`, the one copy on the machine",
        why="a tree of any size is sent once",
        verdicts={"/tests/verdicts/own-copy": ("fail", "pass")},
    ),
    Difference(
        what="a test that runs longer than its `duration`",
        tmt="is cut off",
        atex="gets SIGINT and a grace to clean up in, then all of its processes are killed",
        why="it leaves a machine that can be used again. The verdict is `error` for both",
        traces=["+ cleaned up"],
    ),
    Difference(
        what="the control file",
        tmt="is not there",
        atex="takes results, files, more time, restarts",
        why="it is what ATEX adds",
        traces=["+ /tests/verdicts/control: part part: pass"],
    ),
    Difference(
        what="what a test leaves in `TMT_TEST_DATA`",
        tmt="is in the run's folder, and no result mentions it unless it was submitted",
        atex="is listed as files of the test's record",
        why="who reads the results need not search",
        traces=["+ /tests/verdicts/files: file two.txt"],
    ),
]
