"""Plans: their phases and environment, and what they must not ask for yet."""

import pytest
from atex_fmf import MetadataError, Phase, discover

from .conftest import Grow

PHASES = """
discover: {how: fmf}
prepare:
  - name: late
    how: shell
    script: echo late
    order: 70
  - script: [echo one, echo two]
  - how: install
    package: [gcc]
    when: arch == x86_64
  - name: early
    how: shell
    order: 1
  - name: default-1
    how: shell
    summary: Says its name
    script: echo default
finish:
  how: shell
  script: |
    one
    two
"""


def test_phases(grow: Grow) -> None:
    plan = discover(grow({"plan.fmf": PHASES})).plan
    assert [(phase.name, phase.how, phase.script, phase.order) for phase in plan.prepare] == [
        ("early", "shell", (), 1),
        ("default-0", "shell", ("echo one", "echo two"), 50),
        ("default-2", "install", (), 50),
        ("default-1", "shell", ("echo default",), 50),
        ("late", "shell", ("echo late",), 70),
    ]
    assert plan.prepare[2].metadata["package"] == ["gcc"]
    assert plan.finish == (
        Phase(
            name="default-0",
            how="shell",
            script=("one\ntwo\n",),
            metadata={"how": "shell", "script": "one\ntwo\n"},
        ),
    )


def test_phases_are_adjusted(grow: Grow) -> None:
    root = grow(
        {
            "plan.fmf": "discover: {how: fmf}\nprepare: {how: shell, script: [first]}\n"
            "adjust: {when: distro == fedora, prepare+: {script+: [second]}}\n"
        }
    )
    plan = discover(root, context={"distro": "fedora-42"}).plan
    assert [phase.script for phase in plan.prepare] == [("first", "second")]


def test_environment(grow: Grow) -> None:
    root = grow({"plan.fmf": "discover: {how: fmf}\nenvironment: {A: yes, B: true, C: 1.50}"})
    plan = discover(root).plan
    assert plan.environment == {"A": "yes", "B": "True", "C": "1.5"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("execute: {how: tmt}", "discover is missing"),
        ("discover: fmf", "discover must be a mapping or a list of mappings"),
        ("discover: {filter: 'tag: a'}", "discover: how: shell is not supported yet"),
        ("discover: {how: shell, tests: [{name: a}]}", "discover: how: shell is not supported yet"),
        ("discover: [{how: fmf}, {how: fmf}]", "discover: several phases are not supported yet"),
        ("discover: {how: fmf, test: [{name: a}]}", "discover: test must be a string or a list"),
        ("discover: {how: fmf, test: 'a('}", r"discover: test: 'a\(' is not a regular expression"),
        ("discover: {how: fmf, exclude: '['}", "discover: exclude: '.' is not a regular expres"),
        ("discover: {how: fmf, filter: 5}", "discover: filter must be a string or a list"),
        ("discover: {how: fmf, filter: 'tag: a('}", r"discover: filter: 'tag: a\(' cannot be app"),
        ("discover: {how: fmf}\nenvironment: [A=1]", "environment must be a mapping"),
        ("discover: {how: fmf}\nenabled: 1", "enabled must be true or false"),
        ("discover: {how: fmf}\nenvironment-file: [a.env]", "environment-file is not supported"),
        ("discover: {how: fmf}\nexecute: {script: a}", "execute: script is not supported yet"),
        ("discover: {how: fmf}\nexecute: {how: upgrade}", "execute: how: upgrade is not supported"),
        ("plan: {import: {url: a, name: b}}\ndiscover: {how: fmf}", "plan: importing plans"),
        ("discover: {how: fmf}\nprepare: [1]", "prepare must be a mapping or a list of mappings"),
        ("discover: {how: fmf}\nprepare: {how: 1}", "prepare: how must be a string"),
        ("discover: {how: fmf}\nprepare: {script: {a: b}}", "prepare: script must be a string or"),
        ("discover: {how: fmf}\nprepare: {script: a, order: a}", "prepare: order must be a whole"),
        ("discover: {how: fmf}\nprepare: {script: a, when: b}", "prepare: when is not supported"),
        (
            "discover: {how: fmf}\nfinish: [{name: a}, {name: b}, {name: a}]",
            "finish: two phases are called a",
        ),
    ],
)
def test_refused(grow: Grow, text: str, problem: str) -> None:
    root = grow({"plan.fmf": text, "smoke.fmf": "test: 'true'\ntag: a"})
    with pytest.raises(MetadataError, match=f"^/plan: {problem}.*{root}/plan.fmf") as caught:
        discover(root)
    assert (caught.value.name, caught.value.file) == ("/plan", str(root / "plan.fmf"))


REFUSED = """
include: [a]
url: https://example.com/tests
ref: main
path: /sub
when: arch == x86_64
where: client
require-test: /a
modified-only: true
link: verifies:a
adjust-tests: [{tag: a}]
dist-git-source: true
incldue: [a]
"""


@pytest.mark.parametrize("key", REFUSED.strip().splitlines())
def test_what_would_change_the_selection_is_not_ignored(grow: Grow, key: str) -> None:
    root = grow({"plan.fmf": f"discover: {{how: fmf, {key}}}", "smoke.fmf": "test: 'true'"})
    name = key.split(":", maxsplit=1)[0]
    with pytest.raises(MetadataError, match=f"^/plan: discover: {name} is not supported yet"):
        discover(root)


def test_what_is_switched_off_changes_nothing(grow: Grow) -> None:
    keys = "modified-only: false, url: null, dist-git-source: false"
    root = grow({"plan.fmf": f"discover: {{how: fmf, {keys}}}", "smoke.fmf": "test: 'true'"})
    assert len(discover(root).tests) == 1
