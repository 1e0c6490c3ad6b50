"""Which variables win, and what the metadata's file says."""

import datetime
import json

from atex_executor.environment import environment_of_phase, environment_of_test, metadata_text
from atex_fmf import Plan, Test

COUNTERS = ("TMT_REBOOT_COUNT", "REBOOTCOUNT", "RSTRNT_REBOOTCOUNT")


def test_the_run_wins_over_the_plan_and_atex_over_all() -> None:
    test = Test(name="/t", test="true", serial=3)
    plan = Plan(environment={"A": "plan", "B": "plan", "TMT_TREE": "plan"})
    run = {"A": "run", "TMT_TEST_NAME": "run"}
    assert environment_of_test(test, plan, run, "/tree", iteration="x-3.1") == {
        "A": "run",
        "B": "plan",
        "TMT_TREE": "/tree",
        "TMT_TEST_NAME": "/t",
        "TMT_TEST_SERIAL_NUMBER": "3",
        "TMT_TEST_ITERATION_ID": "x-3.1",
        "TMT_TEST_RESTART_COUNT": "0",
        "TMT_RESTRAINT_COMPATIBLE": "1",
        "RSTRNT_TASKNAME": "/t",
        **dict.fromkeys(COUNTERS, "0"),
    }


def test_what_a_test_was_added_with_wins_over_the_run() -> None:
    test = Test(name="/t", test="true", overrides={"A": "added", "B": "added", "TMT_TREE": "no"})
    variables = environment_of_test(test, Plan(environment={"A": "plan"}), {"B": "run"}, "/tree")
    assert (variables["A"], variables["B"], variables["TMT_TREE"]) == ("added", "added", "/tree")


def test_the_tests_own_are_the_weakest() -> None:
    """They are the order's `defaults`, so that the plan's environment file can be in between."""
    test = Test(name="/t", test="true", environment={"A": "test"})
    assert "A" not in environment_of_test(test, Plan(), {}, "/tree")


def test_restarts_are_counted() -> None:
    test = Test(name="/t", test="true")
    variables = environment_of_test(test, Plan(), {}, "/tree", restarts=2)
    assert {variables[name] for name in (*COUNTERS, "TMT_TEST_RESTART_COUNT")} == {"2"}
    assert environment_of_phase(Plan(), {}, "/tree", restarts=2)["TMT_REBOOT_COUNT"] == "2"


def test_beakerlib_reports_through_us() -> None:
    test = Test(name="/t", test="true", framework="beakerlib", serial=4)
    variables = environment_of_test(test, Plan(), {}, "/tree")
    assert variables["TESTID"] == "4"
    assert variables["BEAKERLIB_COMMAND_REPORT_RESULT"] == "rhts-report-result"
    assert variables["BEAKERLIB_COMMAND_SUBMIT_LOG"] == "rhts-submit-log"


def test_a_phase_has_no_variables_of_a_test() -> None:
    plan = Plan(environment={"A": "plan", "B": "plan"})
    assert environment_of_phase(plan, {"A": "run"}, "/tree") == {
        "A": "run",
        "B": "plan",
        "TMT_TREE": "/tree",
        **dict.fromkeys(COUNTERS, "0"),
    }


def test_metadata_is_a_line_for_each_key() -> None:
    metadata = {
        "summary": 'a "b"\n# c: \u00e9',
        "duration": 5,
        "extra-since": datetime.date(2026, 11, 20),
        "odd key: #": [1, {"a": None}],
        "name": "wrong",
    }
    test = Test(name="/t", test="./x.sh", duration=7200, duration_text="1h *2", metadata=metadata)
    lines = metadata_text(test).splitlines()
    assert lines == [
        'test: "./x.sh"',
        'framework: "shell"',
        'summary: "a \\"b\\"\\n# c: \u00e9"',
        'duration: "1h *2"',
        'extra-since: "2026-11-20"',
        '"odd key: #": [1,{"a":null}]',
        'name: "/t"',
    ]
    assert all(json.loads(line.partition(": ")[2]) for line in lines if not line.startswith('"'))


def test_metadata_of_a_test_whose_name_is_not_utf_8() -> None:
    text = metadata_text(Test(name="/x\udcff", test="true"))
    assert 'name: "/x\\udcff"\n' in text
