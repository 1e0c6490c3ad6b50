"""Phases of prepare and finish: which run, in which order, and what is in them."""

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
    when: [arch == s390x, arch == x86_64]
  - how: feature
    epel: enabled
    when: arch == s390x
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
    plan = discover(grow({"plan.fmf": PHASES}), context={"arch": "x86_64"}).plan
    assert [(phase.name, phase.how, phase.script, phase.order) for phase in plan.prepare] == [
        ("early", "shell", (), 1),
        ("default-0", "shell", ("echo one", "echo two"), 50),
        ("default-2", "install", (), 50),
        ("default-1", "shell", ("echo default",), 50),
        ("late", "shell", ("echo late",), 70),
    ]
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


@pytest.mark.parametrize(
    ("keys", "phase"),
    [
        ("package: gcc", Phase(name="default-0", how="install", package=("gcc",))),
        (
            "package: [gcc, ./own.rpm], exclude: gcc-c++, missing: skip, check-first: true, order: 3",
            Phase(
                name="default-0",
                how="install",
                package=("gcc", "./own.rpm"),
                exclude=("gcc-c++",),
                missing="skip",
                order=3,
            ),
        ),
    ],
)
def test_install(grow: Grow, keys: str, phase: Phase) -> None:
    root = grow({"plan.fmf": f"discover: {{how: fmf}}\nprepare: {{how: install, {keys}}}"})
    (found,) = discover(root).plan.prepare
    assert found.metadata["how"] == "install"
    assert (found.name, found.package, found.exclude, found.missing, found.order) == (
        phase.name,
        phase.package,
        phase.exclude,
        phase.missing,
        phase.order,
    )


RULES = [
    ("distro == fedora", True),
    ("distro == Fedora", False),  # unlike in adjust, where case does not matter
    ("distro == rhel", False),
    ("level == 3", True),
    ("variant == Server", False),
    ("variant is not defined", True),
    ("[distro == rhel, arch == x86_64]", True),
    ("'true'", True),
    ("'false'", False),
]


@pytest.mark.parametrize(("rule", "runs"), RULES)
def test_when(grow: Grow, rule: str, runs: bool) -> None:
    plan = f"discover: {{how: fmf}}\ncontext: {{level: 3, distro: rhel}}\nfinish: {{when: {rule}}}"
    suite = discover(
        grow({"plan.fmf": plan}), context={"distro": "fedora-42", "arch": ["s390x", "x86_64"]}
    )
    assert bool(suite.plan.finish) == runs


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("prepare: [1]", "prepare must be a mapping or a list of mappings"),
        ("prepare: {how: 1}", "prepare: how must be a string"),
        ("prepare: {how: feature, epel: enabled}", "prepare: how: feature is not supported"),
        ("prepare: {script: {a: b}}", "prepare: script must be a string or"),
        ("prepare: {script: a, order: a}", "prepare: order must be a whole"),
        ("prepare: {script: a, when: what is this}", "prepare: when: 'what is this' is not a rule"),
        ("prepare: {script: a, when: true}", "prepare: when must be a string or a list"),
        ("prepare: {script: a, where: client}", "prepare: where is not supported"),
        ("prepare: {script: a, url: b}", "prepare: url is not supported"),
        ("prepare: {how: install, copr: a/b}", "prepare: copr is not supported"),
        ("prepare: {how: install, directory: a}", "prepare: directory is not supported"),
        ("prepare: {how: install, script: a}", "prepare: script is not supported"),
        ("prepare: {how: install, check-first: false}", "prepare: check-first: false is not supp"),
        ("prepare: {how: install, missing: ask}", "prepare: missing must be fail or skip"),
        ("prepare: {how: install, package: [5]}", "prepare: package must be a string or a list"),
        ("finish: {how: install, package: a}", "finish: how: install is not supported"),
        ("finish: [{name: a}, {name: b}, {name: a}]", "finish: two phases are called a"),
    ],
)
def test_refused(grow: Grow, text: str, problem: str) -> None:
    root = grow({"plan.fmf": f"discover: {{how: fmf}}\n{text}"})
    with pytest.raises(MetadataError, match=f"^/plan: {problem}.*{root}/plan.fmf, line 2"):
        discover(root)
