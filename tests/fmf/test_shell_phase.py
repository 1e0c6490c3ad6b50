"""Tests that stand in the plan: discover with how: shell, and execute with a script."""

import pytest
from atex_fmf import MetadataError, Suite, Test, discover

from .conftest import Grow


def suite(grow: Grow, plan: str) -> Suite:
    return discover(grow({"plans/plan.fmf": plan, "smoke.fmf": "test: 'true'"}))


PLAN = """
environment: {WHAT: this}
discover:
    tests:
      - {name: late, test: a, order: 60}
      - name: /deep/one
        test: echo $WHAT
        path: /sub
        duration: 10m
        environment: {A: 1}
        require: [bash, {type: file, pattern: /a}]
        recommend: gcc
        tag: [quick]
        tty: true
        framework: shell
        extra-task: 7
      - {name: usual, test: b}
      - {name: off, test: c, enabled: false}
      - {name: by hand, test: d, manual: true}
"""


def test_tests_of_a_plan(grow: Grow) -> None:
    first, second, third = suite(grow, PLAN).tests
    assert second == Test(
        name="/usual",
        test="b",
        duration=3600.0,
        duration_text="1h",
        metadata={"test": "b", "duration": "1h"},
        serial=2,
    )
    assert (third.name, third.path, third.duration) == ("/late", "/", 3600.0)
    assert (first.name, first.test, first.path) == ("/deep/one", "echo this", "/sub")
    assert (first.duration, first.duration_text) == (600.0, "10m")
    assert first.environment == {"A": "1"}
    assert first.require == ("bash", {"type": "file", "pattern": "/a"})
    assert (first.recommend, first.tag, first.tty) == (("gcc",), ("quick",), True)
    assert first.metadata["extra-task"] == 7


def test_one_mapping_is_one_test(grow: Grow) -> None:
    found = suite(grow, "discover: {how: shell, tests: {name: a b, test: x}}")
    assert [test.name for test in found.tests] == ["/a b"]


def test_required_tests(grow: Grow) -> None:
    plan = "discover: {require-test: NAME, tests: [{name: a, test: x}]}"
    assert len(suite(grow, plan.replace("NAME", "/a")).tests) == 1
    with pytest.raises(MetadataError, match="require-test: a is not among the 1 tests"):
        suite(grow, plan.replace("NAME", "a"))


@pytest.mark.parametrize(
    ("plan", "names"),
    [
        ("execute: {script: [a, b]}", ["/script-00", "/script-01"]),
        ("execute: [{how: tmt, script: a}, {script: b}]", ["/script-00"]),
        ("discover: {how: shell}\nexecute: {script: a}", ["/script-00"]),
        ("discover: [{name: x}, {}]\nexecute: {script: a}", ["/x/script-00"]),
        ("execute: {script: []}", []),
    ],
)
def test_scripts(grow: Grow, plan: str, names: list[str]) -> None:
    found = suite(grow, plan)
    assert [test.name for test in found.tests] == names
    assert {test.duration_text for test in found.tests} <= {"1h"}
    assert {test.path for test in found.tests} <= {"/"}


def test_duration_of_scripts(grow: Grow) -> None:
    found = suite(grow, "execute: {script: [a, b], duration: 2h}")
    assert [test.duration for test in found.tests] == [7200.0, 7200.0]
    with pytest.raises(MetadataError, match="plan: execute: duration 'soon' is invalid"):
        suite(grow, "execute: {script: a, duration: soon}")


@pytest.mark.parametrize(
    ("plan", "problem"),
    [
        ("discover: {tests: [a]}", "discover: tests must be a mapping or a list of mappings"),
        ("discover: {tests: [{test: a}]}", "discover: tests: a test needs a name"),
        ("discover: {tests: [{name: a}]}", "discover: tests: test is empty"),
        ("discover: {tests: [{name: a, test: x, tty: 1}]}", "discover: tests: tty must be true or"),
        ("discover: {tests: [{name: a, test: x, path: /..}]}", "discover: tests: path '/..' leaves"),
        ("discover: {tests: [{name: a, test: x}, {name: a, test: y}]}", "discover: tests: two tests"),
        ("discover: {filter: 'tag: a'}", "discover: filter is not supported"),
        ("discover: {dist-git-source: true}", "discover: dist-git-source is not supported"),
        ("discover: {ref: main}", "discover: ref: .* url"),
        ("discover: {how: fmf}\nexecute: {script: a}", "execute: script: use either discover or"),
        ("discover: {tests: [{name: a, test: x}]}\nexecute: {script: a}", "execute: script: use ei"),
        ("execute: {script: {a: b}}", "execute: script must be a string or a list"),
    ],
)  # fmt: skip
def test_refused(grow: Grow, plan: str, problem: str) -> None:
    with pytest.raises(MetadataError, match=f"^/plans/plan: {problem}.*plans/plan.fmf, line [12]"):
        suite(grow, plan)
