"""The variables of tests and phases, as far as the host knows them. Pure.

From the weakest: the test's own (`Test.environment`, the order's `defaults`), what prepare and tests wrote to the
plan's environment file on the machine, the plan's, those of the run (the command line's, secrets among them), those
that `addtest` asked for (`Test.overrides`), and last those that ATEX sets. The agent adds PATH, HOME and the like below
all of these, and what names a path of its own above them (`atex_sut_agent/sut/surroundings.py`). docs/variables.md has
them all in one table.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from atex_fmf import Plan, Test

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_+-]*")


def environment_of_phase(
    plan: Plan, run: Mapping[str, str], tree: str, *, restarts: int = 0
) -> dict[str, str]:
    """Return the variables of a phase of `plan`; `tree` is the folder of the tree on the machine.

    `restarts` says how often it was started before.
    """
    return {**plan.environment, **run, **_own(tree, restarts)}


def environment_of_test(
    test: Test,
    plan: Plan,
    run: Mapping[str, str],
    tree: str,
    *,
    iteration: str = "",
    restarts: int = 0,
) -> dict[str, str]:
    """Return the variables of `test` that win over its own; `tree` is the folder of the tree on the machine.

    `iteration` tells this attempt from all others, `restarts` says how often it was started before.
    """
    variables = {
        **plan.environment,
        **run,
        **test.overrides,
        **_own(tree, restarts),
        "TMT_TEST_NAME": test.name,
        "TMT_TEST_SERIAL_NUMBER": str(test.serial),
        "TMT_TEST_ITERATION_ID": iteration,
        "TMT_TEST_RESTART_COUNT": str(restarts),
        "TMT_RESTRAINT_COMPATIBLE": "1",
        "RSTRNT_TASKNAME": test.name,
    }
    if test.framework == "beakerlib":
        # Without TESTID, BeakerLib's rlPhaseEnd does not call the command.
        variables["TESTID"] = str(test.serial)
        variables["BEAKERLIB_COMMAND_REPORT_RESULT"] = "rhts-report-result"
        variables["BEAKERLIB_COMMAND_SUBMIT_LOG"] = "rhts-submit-log"
    return variables


def metadata_text(test: Test) -> str:
    """Return the text of TMT_TEST_METADATA's file: a line for each key, its value as JSON, which is YAML."""
    metadata = {
        "test": test.test,
        "framework": test.framework,
        **test.metadata,
        "name": test.name,
        "duration": test.duration_text,
    }
    return "".join(f"{_key(key)}: {_json(value)}\n" for key, value in metadata.items())


def _own(tree: str, restarts: int) -> dict[str, str]:
    """Return what ATEX sets for phases and tests alike."""
    counters = ("TMT_REBOOT_COUNT", "REBOOTCOUNT", "RSTRNT_REBOOTCOUNT")
    return {"TMT_TREE": tree, **dict.fromkeys(counters, str(restarts))}


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else _json(key)


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value, enc_hook=str).decode()
    except UnicodeEncodeError:  # a name that is not UTF-8
        return json.dumps(value, default=str)
