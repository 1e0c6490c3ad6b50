"""Several phases of discover: names, order, serials. All of it was compared with tmt 1.78."""

import pytest
from atex_fmf import MetadataError, Suite, discover

from .conftest import Grow

TESTS = "test: 'true'\n/one: {order: 60}\n/two: {}\n/off: {enabled: false}\n"


def suite(grow: Grow, phases: str, **context: str) -> Suite:
    return discover(grow({"plan.fmf": f"discover: {phases}", "t.fmf": TESTS}), context=context)


def names(suite: Suite) -> list[str]:
    return [test.name for test in suite.tests]


@pytest.mark.parametrize(
    ("phases", "selected"),
    [
        ("{how: fmf, name: only}", "/t/two /t/one"),
        ("[{how: fmf, name: only}]", "/t/two /t/one"),
        ("[{how: fmf}, {how: fmf, test: one}]", "/default-0/t/two /default-0/t/one /default-1/t/one"),
        ("[{how: fmf, test: one}, {how: fmf, name: b, order: 1}]", "/b/t/two /b/t/one /default-0/t/one"),
        ("[{how: fmf, test: one}, {how: fmf, name: default-0, test: two}]", "/default-1/t/one /default-0/t/two"),
        ("[{how: fmf, name: a/b, test: one}, {tests: [{name: x, test: x}]}]", "/a/b/t/one /default-0/x"),
        ("[{how: fmf, test: one}, {how: fmf, when: distro == rhel}]", "/default-0/t/one"),
        ("[{how: fmf, test: one}, {how: git, when: distro == rhel}]", "/default-0/t/one"),
        (
            "[{how: fmf, test: one}, {how: fmf, test: two, when: [distro == rhel, arch == x86_64]}]",
            "/default-0/t/one /default-1/t/two",
        ),
    ],
)  # fmt: skip
def test_names_and_order(grow: Grow, phases: str, selected: str) -> None:
    found = suite(grow, phases, distro="fedora-42", arch="x86_64")
    assert names(found) == selected.split()
    assert [test.serial for test in found.tests] == list(range(1, len(found.tests) + 1))


def test_the_context_of_the_plan_is_for_its_tests_and_phases(grow: Grow) -> None:
    tests = "test: 'true'\nadjust: {when: distro == rhel, tag: r}\n"
    plan = (
        "context: {distro: rhel, arch: [s390x, x86_64]}\ndiscover: {how: fmf, when: arch == x86_64}"
    )
    adjusted = "\nadjust: {when: distro == rhel, enabled: false}"
    root = grow({"plan.fmf": plan + adjusted, "t.fmf": tests})
    assert [test.tag for test in discover(root).tests] == [("r",)]
    given = discover(root, context={"distro": "fedora"})
    assert [test.tag for test in given.tests] == [()]


def test_narrowing_sees_the_whole_name(grow: Grow) -> None:
    root = grow({"plan.fmf": "discover: [{how: fmf}, {how: fmf}]", "t.fmf": TESTS})
    assert names(discover(root, tests="default-1.*two")) == ["/default-1/t/two"]


def test_required_tests(grow: Grow) -> None:
    assert names(suite(grow, "{how: fmf, require-test: [/t/one, /t/two]}")) == ["/t/two", "/t/one"]
    assert names(suite(grow, "[{how: fmf, require-test: /t/one, test: one}, {how: shell}]")) == [
        "/default-0/t/one"
    ]
    for missing in ["one", "/t/off", "/t/three"]:
        with pytest.raises(
            MetadataError, match=f"^/plan: discover: require-test: {missing} is not"
        ):
            suite(grow, f"{{how: fmf, require-test: {missing}}}")


RULES = """
discover:
    how: fmf
    adjust-tests:
      - {when: distro == Fedora, duration+: ' *2'}
      - environment+: {ALL: 1}
    test:
      - two
      - {name: one, duration: 7m, because: it is slow}
      - {name: two, when: distro == rhel, duration: 9m}
      - {name: off, enabled: true}
"""


def test_rules_of_a_plan_for_its_tests(grow: Grow) -> None:
    tests = TESTS.replace("/one", "duration: 5m\n/one")
    found = discover(grow({"plan.fmf": RULES, "t.fmf": tests}), context={"distro": "fedora"})
    assert [(test.name, test.duration_text, test.environment) for test in found.tests] == [
        ("/t/two", "5m *2", {"ALL": "1"}),
        ("/t/one", "7m", {"ALL": "1"}),
        ("/t/two", "5m *2", {"ALL": "1"}),
        ("/t/off", "5m *2", {"ALL": "1"}),
    ]


def test_a_bad_rule_of_a_plan_is_refused(grow: Grow) -> None:
    with pytest.raises(
        MetadataError, match=r"^/plan: discover: a rule for tests: .*what is this.*line 1"
    ):
        suite(grow, "{how: fmf, adjust-tests: {when: what is this}}")
    with pytest.raises(MetadataError, match=r"discover: adjust-tests must be a mapping or a list"):
        suite(grow, "{how: fmf, adjust-tests: [1]}")
