"""Rules that change a test where the context says so: each operator, decided by tmt and by ATEX."""

from collections.abc import Sequence

import pytest

from tests.fmf.beside_tmt.comparison import Context
from tests.fmf.beside_tmt.conftest import Agree

CONTEXTS: Sequence[Context] = (
    {},
    {"distro": ["fedora-42"], "arch": ["x86_64"]},
    {"distro": ["RHEL-9.6"], "arch": ["aarch64", "s390x"], "trigger": ["commit"]},
    {"distro": ["centos-stream-10", "rhel-10.1"], "component": ["bash-5.2"]},
)

# A test for each operator: the one whose rule applies says so in its environment.
OPERATORS = {
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
    "true-false": ["'true'", "'false'", "false or distro == fedora", "true and arch == x86_64"],
    "booleans": ["true", "false"],
    "other-case": ["distro == rhel-9.6", "distro == RHEL", "distro == Fedora-42"],
    "unknown-dimension": ["nothing == x", "nothing == x or distro == fedora", "nothing != x"],
    "several-values": ["arch == aarch64, x86_64", "arch != s390x", "arch == ppc64le"],
}

TEXT_BEFORE_TESTS = "test: run\nenvironment: {APPLIED: 'no'}\n"


@pytest.mark.parametrize("rules", OPERATORS.values(), ids=OPERATORS)
def test_operators(agree: Agree, rules: Sequence[str]) -> None:
    tests = [
        f"/rule-{number}: {{adjust: [{{when: {_quoted(rule)}, environment: {{APPLIED: 'yes'}}}}]}}\n"
        for number, rule in enumerate(rules)
    ]
    applied = set()
    for context in CONTEXTS:
        outcome = agree({"rules.fmf": TEXT_BEFORE_TESTS + "".join(tests)}, context=context)
        applied |= {test["environment"]["APPLIED"] for test in outcome["tests"]}
    assert applied == {"yes", "no"}


def _quoted(rule: str) -> str:
    return rule if rule in {"true", "false"} or rule.startswith("'") else f"'{rule}'"


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
