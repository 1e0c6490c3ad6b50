"""What the exit code of `atex` means. Below 64: of the tests. From 64 on: of everything else."""

from collections.abc import Mapping

PASSED = 0
"""All passed; `info` counts as a pass, and so does a skipped test beside one that passed."""
FAILED = 1
"""Some test failed or warned."""
FINDINGS = FAILED
"""`atex lint` found something wrong."""
ERROR = 2
"""Some test had an error."""
NOTHING = 3
"""There was nothing to run."""
SKIPPED = 4
"""All tests were skipped."""
USAGE = 64
"""The command line, the tree, or anything else that was found wrong before a machine was asked for."""
BUG = 70
"""atex itself broke."""
INFRASTRUCTURE = 75
"""Some test has no verdict: a machine, a connection or a preparation failed."""
SIGNALLED = 128
"""Added to the number of the signal that stopped the run: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""


def exit_code(
    counts: Mapping[str, int], *, complete: bool = True, signal: int | None = None
) -> int:
    """Return the exit code of a run with so many tests of each status; the gravest that applies.

    `complete`: every test has a record and nothing but the last test ended the run. `signal`: the one that stopped it.
    """
    if signal is not None:
        return SIGNALLED + signal
    if counts.get("infra") or not complete:
        return INFRASTRUCTURE
    if counts.get("error"):
        return ERROR
    if counts.get("fail") or counts.get("warn"):
        return FAILED
    if not sum(counts.values()):
        return NOTHING
    if counts.get("skip") == sum(counts.values()):
        return SKIPPED
    return PASSED
