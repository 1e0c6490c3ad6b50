"""Which variables win."""

from atex_executor.environment import phase_environment, test_environment
from atex_fmf import Plan, Test

# Not a test of its own: pytest would take the imported function for one.
variables_of_test = test_environment
del test_environment


def test_the_plan_wins_over_the_test_and_the_run_over_the_plan() -> None:
    test = Test(name="/t", test="true", serial=3, environment={"A": "test", "B": "test", "C": "t"})
    plan = Plan(environment={"A": "plan", "B": "plan", "TMT_TREE": "plan"})
    variables = variables_of_test(test, plan, {"A": "run", "TMT_TEST_NAME": "run"}, "/tree")
    assert variables == {
        "A": "run",
        "B": "plan",
        "C": "t",
        "TMT_TREE": "/tree",
        "TMT_TEST_NAME": "/t",
        "TMT_TEST_SERIAL_NUMBER": "3",
        "TMT_REBOOT_COUNT": "0",
        "TMT_TEST_RESTART_COUNT": "0",
    }


def test_a_phase_has_no_variables_of_a_test() -> None:
    plan = Plan(environment={"A": "plan", "B": "plan"})
    assert phase_environment(plan, {"A": "run"}, "/tree") == {
        "A": "run",
        "B": "plan",
        "TMT_TREE": "/tree",
    }
