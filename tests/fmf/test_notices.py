"""What is ignored is said, once, where it was selected."""

from atex_fmf import discover, lint

from .conftest import Grow

PLAN = """
discover: {how: fmf, test: [plain, checked, checked, shaky]}
provision: {how: virtual}
execute: {how: tmt, exit-first: true}
report: {how: html}
login: {when: fail}
reboot: {}
"""
TESTS = """
test: 'true'
tier: 1
/plain: {framework: shell, result: respect}
/checked: {check: avc, framework: beakerlib, component: [bash]}
/shaky: {result: xfail, restart-max-count: 3}
/unselected: {framework: other, restart-with-reboot: true}
"""


def test_what_is_ignored(grow: Grow) -> None:
    suite = discover(grow({"plan.fmf": PLAN, "tests.fmf": TESTS}))
    assert suite.notices == (
        "/plan: ignored keys: provision, report, login, reboot, execute.exit-first",
        (
            "ignored keys of tests, and how many tests have them: "
            "check (1), component (1), restart-max-count (1), tier (3)"
        ),
        (
            "/tests/checked: framework beakerlib is ignored but for `set -e`, which it does not have: "
            "the verdict comes from the results it sends, or from its exit code"
        ),
        "/tests/shaky: result xfail is ignored: a failure is a failure",
    )


def test_nothing_ignored_nothing_said(grow: Grow) -> None:
    plan = "discover: {how: fmf}\nexecute: {how: tmt}\n"
    root = grow({"plan.fmf": plan, "smoke.fmf": "test: 'true'\nextra-id: 7\n"})
    assert discover(root).notices == ()


def test_what_nobody_knows(grow: Grow) -> None:
    plan = "discover: {how: fmf}\nexecute: {how: tmt}\nenviroment: {A: 1}\n"
    tests = "test: 'true'\nrelevancy: x\n/a:\n/b: {durration: 1h}\n"
    assert discover(grow({"plan.fmf": plan, "tests.fmf": tests})).notices == (
        "/plan: unknown keys: enviroment",
        "unknown keys of tests, and how many tests have them: durration (1), relevancy (2)",
    )


def test_keys_that_are_no_strings(grow: Grow) -> None:
    plan = "execute: {how: tmt, 7: x}\ndiscover: {tests: [{name: a, test: b, 5: x, true: y}]}\n"
    root = grow({"plan.fmf": plan})
    assert discover(root).notices == (
        "/plan: ignored keys: execute.7",
        "unknown keys of tests, and how many tests have them: 5 (1), True (1)",
    )
    assert [finding.line for finding in lint(root)] == [1, 2, 2]
