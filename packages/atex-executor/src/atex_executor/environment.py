"""The variables of tests and phases. Pure.

From the weakest: the test's own, the plan's, those of the run (the command line's, secrets among them), and last those
that ATEX sets. The agent adds PATH, HOME and the like below all of these, and the control file's above them.
"""

from collections.abc import Mapping

from atex_fmf import Plan, Test


def phase_environment(plan: Plan, run: Mapping[str, str], tree: str) -> dict[str, str]:
    """Return the variables of a phase of `plan`; `tree` is the folder of the tree on the machine."""
    return {**plan.environment, **run, "TMT_TREE": tree}


def test_environment(test: Test, plan: Plan, run: Mapping[str, str], tree: str) -> dict[str, str]:
    """Return the variables of `test`; `tree` is the folder of the tree on the machine."""
    return {
        **test.environment,
        **phase_environment(plan, run, tree),
        "TMT_TEST_NAME": test.name,
        "TMT_TEST_SERIAL_NUMBER": str(test.serial),
        "TMT_REBOOT_COUNT": "0",
        "TMT_TEST_RESTART_COUNT": "0",
    }
