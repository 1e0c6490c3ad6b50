"""Rules ask for dimensions that nobody gave: that is said, with their names, if it can matter."""

import pytest
from atex_fmf import discover

from .conftest import Grow

TREE = {
    "plan.fmf": "execute: {how: tmt}\ndiscover: {how: fmf}\n",
    "main.fmf": "adjust:\n  - {when: arch == x86_64, because: inherited, environment: {A: 1}}\n",
    "a.fmf": "test: 'true'\nadjust+: [{when: distro != fedora, enabled: false}]\n",
    "b.fmf": "test: 'true'\nenabled: false\nadjust+: [{when: trigger == commit, enabled: true}]\n",
}


def missing(grow: Grow, condition: str, context: dict[str, str]) -> list[str]:
    root = grow({"t.fmf": f"test: 'true'\nadjust: {{when: '{condition}', enabled: false}}\n"})
    notices = discover(root, context=context).notices
    return [name for name in ("arch", "distro", "fips") if any(name in said for said in notices)]


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("arch == x86_64", ["arch"]),
        ("arch != x86_64, s390x", ["arch"]),
        ("arch ~ x86", ["arch"]),
        ("arch == a and fips == on", ["arch", "fips"]),
        ("arch == a or fips == on", ["arch", "fips"]),
        # Decided, whatever the dimension may be.
        ("distro == centos and arch == a", []),
        ("distro == fedora or arch == a", []),
        ("false and arch == a", []),
        ("distro == centos and arch == a or fips == on", ["fips"]),
        # The value that is there cannot be compared, so that nothing makes it true.
        ("distro < centos-9 and arch == a", []),
        ("distro < centos-9", []),
        # Who asks for it by this name reckons with its absence.
        ("arch is defined", []),
        ("arch is not defined", []),
        ("arch is defined and arch == a", []),
        ("arch is not defined and fips == on", ["fips"]),
    ],
)
def test_what_could_be_decided_with_a_dimension_more(
    grow: Grow, condition: str, names: list[str]
) -> None:
    assert missing(grow, condition, {"distro": "Fedora-42"}) == names


def test_it_is_said_once_for_plan_and_tests(grow: Grow) -> None:
    assert discover(grow(TREE)).notices == (
        (
            "the context has no arch, distro, trigger: rules that ask for them are skipped, and "
            "other tests may be selected than were meant"
        ),
    )


def test_what_is_given_is_not_missed(grow: Grow) -> None:
    context = {"arch": "x86_64", "distro": ["fedora", "centos"], "trigger": "nightly"}
    assert discover(grow(TREE), context=context).notices == ()


def test_what_nobody_asked_for_is_not_missed(grow: Grow) -> None:
    files = {
        **TREE,
        "other.fmf": "execute: {how: tmt}\nenabled: false\nadjust: {when: tier == 1, tag: x}\n",
        "data.fmf": "story: x\nadjust: {when: agile == yes, tag: x}\n",
    }
    (said,) = discover(grow(files), tests=["/b"]).notices
    assert said.startswith("the context has no arch, trigger: ")


@pytest.mark.parametrize("names", ["test: /b", "include: /b", "exclude: /a"])
def test_what_the_plan_does_not_ask_for_is_not_missed(grow: Grow, names: str) -> None:
    plan = f"execute: {{how: tmt}}\ndiscover: {{how: fmf, {names}}}\n"
    (said,) = discover(grow({**TREE, "plan.fmf": plan})).notices
    assert said.startswith("the context has no arch, trigger: ")


@pytest.mark.parametrize("step", ["discover", "prepare", "finish"])
def test_phases_ask_too(grow: Grow, step: str) -> None:
    phases = "[{how: shell, when: distro == fedora}, {how: shell, when: arch == a and distro == b}]"
    plan = f"execute: {{how: tmt}}\ncontext: {{arch: s390x}}\n{step}: {phases}\n"
    (said,) = discover(grow({"plan.fmf": plan}), context={}).notices
    assert said.startswith("the context has no distro: ")
    assert discover(grow({"plan.fmf": plan}), context={"distro": "fedora"}).notices == ()
