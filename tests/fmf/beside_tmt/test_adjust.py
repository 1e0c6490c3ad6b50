"""Rules that change a test where the context says so: each operator, decided by tmt and by ATEX."""

import json
from collections.abc import Mapping, Sequence

import pytest

from tests.fmf.beside_tmt.comparison import Context, Outcome, Tmt, atex_selects
from tests.fmf.beside_tmt.conftest import PLAN, Agree
from tests.fmf.conftest import write_tree

CONTEXTS: Sequence[Context] = (
    {},
    {"distro": ["fedora-42"], "arch": ["x86_64"]},
    {"distro": ["RHEL-9.6"], "arch": ["aarch64", "s390x"], "trigger": ["commit"]},
    {"distro": ["centos-stream-10", "rhel-10.1"], "component": ["bash-5.2"]},
)

# A test for each operator: the one whose rule applies says so in its environment.
OPERATORS: Mapping[str, Sequence[str | bool]] = {
    "equal": ["distro == fedora-42", "distro == fedora", "distro == rhel-9, rhel-10"],
    "not-equal": ["distro != fedora", "distro != rhel-9.6, fedora-42"],
    "less": ["distro < rhel-9.7", "distro < fedora-43", "component < bash-5.10"],
    "less-or-equal": ["distro <= rhel-9.6", "distro <= fedora-42, rhel-9"],
    "greater": ["distro > fedora-41", "distro > rhel-9", "distro > rhel-8"],
    "greater-or-equal": ["distro >= fedora-42", "distro >= rhel-9.6", "arch >= aarch64"],
    "minor-equal": ["distro ~= rhel-9.6", "distro ~= rhel-10.1", "distro ~= fedora"],
    "minor-not-equal": ["distro ~!= rhel-9.6", "distro ~!= centos-stream-9"],
    "minor-less": ["distro ~< rhel-9.7", "distro ~< rhel-10.2", "distro ~< fedora-43"],
    "minor-less-or-equal": ["distro ~<= rhel-9.6", "distro ~<= rhel-10.0"],
    "minor-greater": ["distro ~> rhel-9.5", "distro ~> rhel-8.5", "distro ~> fedora-41"],
    "minor-greater-or-equal": ["distro ~>= rhel-9.6", "distro ~>= rhel-10.2"],
    "is-defined": ["trigger is defined", "trigger is not defined", "nothing is defined"],
    "and-or": [
        "distro == fedora and arch == x86_64",
        "distro == fedora or arch == s390x",
        "distro == rhel and arch == x86_64 or trigger == commit",
        "trigger is not defined and distro is defined or arch == aarch64",
    ],
    "true-false": ["true", "false", "false or distro == fedora", "true and arch == x86_64"],
    "booleans": [True, False],
    "other-case": ["distro == rhel-9.6", "distro == RHEL", "distro == Fedora-42"],
    "unknown-dimension": ["nothing == x", "nothing == x or distro == fedora", "nothing != x"],
    "several-values": ["arch == aarch64, x86_64", "arch != s390x", "arch == ppc64le"],
}


@pytest.fixture(scope="module")
def decided(tmt: Tmt, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Outcome, Outcome]]:
    """Our outcome and tmt's in each context, of one tree with all rules: /rules/OPERATOR/NUMBER."""
    tests = "test: run\nenvironment: {APPLIED: 'no'}\n" + "".join(
        f"/{operator}/{number}: {{adjust: [{{when: {json.dumps(rule)}, environment: {{APPLIED: 'yes'}}}}]}}\n"
        for operator, rules in OPERATORS.items()
        for number, rule in enumerate(rules)
    )
    tree = write_tree(tmp_path_factory.mktemp("tree"), {"plan.fmf": PLAN, "rules.fmf": tests})
    return [
        (atex_selects(tree, "/plan", context), tmt.selects(tree, "/plan", context))
        for context in CONTEXTS
    ]


@pytest.mark.parametrize("operator", OPERATORS)
def test_operators(operator: str, decided: list[tuple[Outcome, Outcome]]) -> None:
    applied = set()
    for outcome in decided:
        ours, tmts = (
            {
                test["name"]: test["environment"]["APPLIED"]
                for test in one["tests"]
                if test["name"].startswith(f"/rules/{operator}/")
            }
            for one in outcome
        )
        assert ours == tmts
        assert len(ours) == len(OPERATORS[operator])
        applied |= set(ours.values())
    assert applied == {"yes", "no"}


ADJUSTED = {
    "all-rules-are-evaluated": """
        - {when: distro == fedora, tag+: [fedora], because: it is}
        - {when: arch == x86_64, tag+: [pc]}
        """,
    "continue-false-stops": """
        - {when: distro == fedora, tag+: [fedora], continue: false}
        - {when: distro == rhel, tag+: [rhel], continue: true}
        - {tag+: [last]}
        """,
    "no-when": "{tag: [always], duration: 1h}",
    "enabled": """
        - {enabled: false, when: distro == rhel}
        - {enabled: true, when: arch == s390x}
        """,
    "merge-operators": """
        - {when: distro is defined, tag-: [base], require+: [sed], duration: 1m}
        - {when: arch == x86_64, environment+: {A: '2'}, test~: /run/go/}
        """,
    "order": "{order: 1, when: distro == fedora}",
    "path": "{path: /elsewhere, when: distro == fedora}",
}


@pytest.mark.parametrize("rules", ADJUSTED.values(), ids=ADJUSTED)
def test_rules(agree: Agree, rules: str) -> None:
    tests = (
        "test: run\ntag: [base]\nrequire: [bash]\nenvironment: {A: '1'}\n"
        f"/before: {{}}\n/changed:\n    order: 60\n    adjust:\n        {rules.strip()}\n"
    )
    outcomes = [agree({"t.fmf": tests}, context=context)["tests"] for context in CONTEXTS]
    assert any(outcome != outcomes[0] for outcome in outcomes) or "when" not in rules


def test_inherited_rules(agree: Agree) -> None:
    files = {
        "main.fmf": "test: run\nadjust: {when: distro == fedora, tag+: [inherited]}\n",
        "a.fmf": "/one: {}\n/two: {adjust: {when: distro == rhel, tag+: [own]}}\n",
        "b.fmf": "/one: {adjust+: [{when: arch == x86_64, tag+: [more]}]}\n"
        "/two: {adjust+<: [{when: arch == x86_64, tag+: [first]}]}\n",
    }
    for context in CONTEXTS:
        assert agree(files, context=context)["tests"]


PLANS = """
/: {inherit: false}
execute: {how: tmt}
discover: {how: fmf}
adjust:
  - when: distro == fedora
    environment: {WHERE: fedora}
    discover+: {test: one}
  - when: distro == rhel
    discover+: {exclude: [one]}
"""


def test_rules_of_plans(agree: Agree) -> None:
    files = {"plan.fmf": PLANS, "t.fmf": "test: run\n/one: {}\n/two: {}\n"}
    outcomes = [agree(files, context=context) for context in CONTEXTS]
    assert [len(outcome["tests"]) for outcome in outcomes] == [2, 1, 1, 1]


def test_the_context_of_a_plan_is_for_its_tests(agree: Agree) -> None:
    plan = "context: {distro: fedora-42, arch: [x86_64, s390x], level: 3}\n"
    files = {
        "plan.fmf": PLANS + plan,
        "t.fmf": "test: run\n/one: {adjust: {when: distro == fedora, tag: f}}\n"
        "/two: {adjust: {when: arch == s390x and level == 3, tag: s}}\n",
    }
    for context in CONTEXTS:
        assert agree(files, context=context)["tests"]
