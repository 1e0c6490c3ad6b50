"""From a folder to a suite: plans, context, and what is left alone."""

import os
from pathlib import Path

import pytest
from atex_fmf import AmbiguousPlan, PatternError, Plan, PlanNotFound, Suite, discover

from .conftest import Grow

QUICKSTART = Path(__file__).parents[2] / "examples/quickstart"


def names(suite: Suite) -> list[str]:
    return [test.name for test in suite.tests]


def test_quickstart() -> None:
    suite = discover(QUICKSTART)
    assert suite.root == str(QUICKSTART)
    assert suite.plan.name == "/plans/quickstart"
    assert suite.plan.environment == {"COLOR": "red", "FLAVOR": "vanilla"}
    assert [phase.name for phase in suite.plan.prepare] == ["greeting"]
    assert [phase.script for phase in suite.plan.finish] == [("rm prepared.txt",)]
    assert {test.name: test.path for test in suite.tests} == {
        "/tests/bash": "/tests/bash",
        "/tests/python": "/tests/python",
        "/tests/simple/environment": "/tests",
        "/tests/simple/exit-code": "/tests",
        "/tests/simple/patience": "/tests",
        "/tests/simple/prepared": "/",
    }
    assert names(suite)[0] == "/tests/simple/patience"
    assert [test.serial for test in suite.tests] == [1, 2, 3, 4, 5, 6]


def test_without_a_plan_all_tests_run(grow: Grow) -> None:
    root = grow({"tests.fmf": "/b: {test: 'true'}\n/a: {test: 'true'}\n"})
    suite = discover(root)
    assert names(suite) == ["/tests/a", "/tests/b"]
    assert suite.plan == Plan()
    assert suite.notices == ()


def test_a_tree_without_tests_is_an_empty_suite(grow: Grow) -> None:
    assert discover(grow({})).tests == ()


PLANS = """
discover: {how: fmf}
/full: {}
/quick:
  discover+: {filter: "tag: quick"}
  adjust: {when: arch == s390x, enabled: false}
/off:
  enabled: false
"""
TESTS = "test: 'true'\n/a: {tag: quick}\n/b: {}\n"


def test_the_only_enabled_plan_needs_no_name(grow: Grow) -> None:
    root = grow({"plans.fmf": PLANS, "tests.fmf": TESTS})
    suite = discover(root, context={"arch": "s390x"})
    assert suite.plan.name == "/plans/full"


def test_several_plans_are_named(grow: Grow) -> None:
    root = grow({"plans.fmf": PLANS, "tests.fmf": TESTS})
    with pytest.raises(AmbiguousPlan, match=r"several plans, .*: /plans/full, /plans/quick$"):
        discover(root)


def test_a_plan_is_chosen_by_its_whole_name(grow: Grow) -> None:
    root = grow({"plans.fmf": PLANS, "tests.fmf": TESTS})
    assert names(discover(root, plan="/plans/quick")) == ["/tests/a"]
    for name in ["quick", "/plans/qui", "/plans/.*", "/tests/a"]:
        with pytest.raises(PlanNotFound, match=r"no plan .*has /plans/full, /plans/quick$"):
            discover(root, plan=name)


def test_a_disabled_plan_is_not_there(grow: Grow) -> None:
    root = grow({"plans.fmf": PLANS, "tests.fmf": TESTS})
    with pytest.raises(PlanNotFound, match="/plans/off is disabled; the tree has /plans/full"):
        discover(root, plan="/plans/off")
    with pytest.raises(PlanNotFound, match=r"/plans/quick is disabled; the tree has /plans/full$"):
        discover(root, plan="/plans/quick", context={"arch": "s390x"})


def test_a_tree_without_plans_says_so(grow: Grow) -> None:
    with pytest.raises(PlanNotFound, match="there is no plan /p; the tree has none"):
        discover(grow({"tests.fmf": TESTS}), plan="/p")


def test_tests_narrow_what_the_plan_selected(grow: Grow) -> None:
    root = grow(
        {
            "plan.fmf": "discover: {how: fmf, test: [c, a, b, a]}",
            "tests.fmf": "test: 'true'\n/a: {}\n/b: {}\n/c: {}\n/d: {}\n",
        }
    )
    suite = discover(root, tests=["/a$", "s/[cd]"])
    assert [(test.name, test.serial) for test in suite.tests] == [
        ("/tests/c", 1),
        ("/tests/a", 2),
        ("/tests/a", 3),
    ]
    assert names(discover(root, tests="b$")) == ["/tests/b"]
    assert names(discover(root, tests="nothing")) == []


def test_a_pattern_that_is_none(grow: Grow) -> None:
    with pytest.raises(PatternError, match=r"'a\(' is not a regular expression: missing \)"):
        discover(grow({"tests.fmf": TESTS}), tests=["a("])


def test_a_test_that_is_not_selected_may_be_broken(grow: Grow) -> None:
    root = grow({"tests.fmf": "/good: {test: 'true'}\n/bad: {test: [], duration: long}\n"})
    assert names(discover(root, tests="good")) == ["/tests/good"]


ADJUST = """
test: 'true'
environment: {WHERE: nowhere}
adjust:
  - when: distro == fedora
    environment+: {WHERE: fedora}
    continue: false
  - when: arch == x86_64 and variant is not defined
    environment+: {WHERE: pc}
"""


@pytest.mark.parametrize(
    ("context", "where"),
    [
        ({}, "nowhere"),
        ({"distro": "fedora-42"}, "fedora"),
        ({"distro": "Fedora-42"}, "fedora"),
        ({"distro": ["rhel-9", "fedora-42"], "arch": "x86_64"}, "fedora"),
        ({"distro": "rhel-9.6", "arch": ("aarch64", "x86_64")}, "pc"),
        ({"distro": "rhel-9.6", "arch": "x86_64", "variant": "Server"}, "nowhere"),
    ],
)
def test_context(grow: Grow, context: dict[str, str | list[str]], where: str) -> None:
    suite = discover(grow({"smoke.fmf": ADJUST}), context=context)
    assert suite.tests[0].environment == {"WHERE": where}


def test_nothing_is_written(grow: Grow) -> None:
    root = grow({"plans.fmf": PLANS, "tests/main.fmf": TESTS})

    def snapshot() -> dict[str, tuple[int, int]]:
        paths = [root, *root.rglob("*")]
        return {str(path): (os.stat(path).st_mtime_ns, os.stat(path).st_ino) for path in paths}

    before = snapshot()
    discover(root, plan="/plans/full")
    assert snapshot() == before
