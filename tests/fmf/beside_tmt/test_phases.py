"""Plans that find their tests in several places, or bring them along."""

from collections.abc import Mapping

import pytest

from tests.fmf.beside_tmt.comparison import Context
from tests.fmf.beside_tmt.conftest import Agree

TESTS = "test: run\nlink: {verifies: x/1}\n/one: {tag: [a]}\n/two: {order: 10}\n/three: {tag: [b], require: [bash]}\n"

PLANS = {
    "two-phases-without-names": "discover: [{how: fmf, test: one}, {how: fmf, test: two}]\n",
    "two-phases-with-names": """
        discover:
          - {how: fmf, name: first, test: [two, one]}
          - {how: fmf, name: second, exclude: [one]}
        """,
    "one-phase-in-a-list": "discover: [{how: fmf, name: alone}]\n",
    "some-phases-with-names": """
        discover:
          - {how: fmf, test: one}
          - {how: fmf, name: named, test: two}
          - {how: fmf, test: three}
        """,
    "names-like-default": """
        discover:
          - {how: fmf, test: one}
          - {how: fmf, name: default-0, test: two}
        """,
    "names-with-spaces-and-slashes": """
        discover:
          - {how: fmf, name: 'a phase', test: one}
          - {how: fmf, name: deep/er, test: two}
        """,
    "order-of-phases": """
        discover:
          - {how: fmf, name: late, order: 90, test: one}
          - {how: fmf, name: middle, test: two}
          - {how: fmf, name: early, order: 1, test: three}
        """,
    "order-of-phases-without-names": """
        discover:
          - {how: fmf, order: 90, test: one}
          - {how: fmf, test: two}
        """,
    "when": """
        discover:
          - {how: fmf, name: always, test: one}
          - {how: fmf, name: fedora, when: distro == fedora, test: two}
          - {how: fmf, name: other, when: distro != fedora, test: three}
        """,
    "when-is-a-list": """
        discover:
          - {how: fmf, name: some, when: [distro == rhel, arch == x86_64], test: two}
          - {how: fmf, name: none, when: [distro == rhel, arch == s390x], test: one}
          - {how: fmf, test: three}
        """,
    "when-of-the-only-phase": "discover: {how: fmf, when: distro == fedora, test: two}\n",
    "require-test-of-a-phase": """
        discover:
          - {how: fmf, name: x, test: one, require-test: [/t/one]}
          - {how: fmf, name: y, test: two}
        """,
    "the-same-test-in-several-phases": """
        discover:
          - {how: fmf, name: x, test: [one, one]}
          - {how: fmf, name: y, test: one}
        """,
    "inherited-phases": """
        discover: {how: fmf}
        /inner:
            discover+: {test: one}
        """,
    "shell": """
        discover:
            how: shell
            tests:
              - {name: /first, test: ./one.sh}
              - {name: second, test: ./two.sh, duration: 10m, order: 1, tag: [x], tier: '1'}
              - name: /third/deep
                test: |
                    echo one
                    echo two
                environment: {A: '1'}
                require: [bash]
                recommend: sed
                path: /t
              - {name: /off, test: 'false', enabled: false}
        """,
    "shell-null": """
        discover:
            how: shell
            tests:
              - {name: /a, test: run}
              - {name: /b, test: run, enabled: null}
              - {name: /c, test: run, manual: null}
        """,
    "shell-is-the-default": "discover: {tests: [{name: /a, test: run}]}\n",
    "shell-and-fmf": """
        discover:
          - {how: shell, name: inline, tests: [{name: /a, test: run}, {name: /b, test: run}]}
          - {how: fmf, name: tree, test: one}
        """,
    "execute-script": "execute: {how: tmt, script: ./run.sh}\n",
    "execute-scripts": "execute: {how: tmt, script: [./a.sh, 'b c', './d.sh | cat']}\n",
    "execute-script-with-duration": "execute: {how: tmt, script: [./a.sh], duration: 2h}\n",
    "execute-script-beside-bare-discover": """
        discover: {how: shell}
        execute: {how: tmt, script: ./run.sh}
        """,
    "execute-script-inherited": """
        execute: {how: tmt, script: ./run.sh}
        /inner: {}
        """,
    "test-with-a-rule": """
        discover:
            how: fmf
            test: [{name: one, duration: 1h, tag+: [more]}, two, {name: one}]
        """,
    "adjust-tests": """
        discover:
            how: fmf
            adjust-tests:
              - {duration: 1m, when: distro == fedora}
              - {environment+: {B: '2'}}
        """,
    "prune": "discover: {how: fmf, prune: true, test: one}\n",
    "link": "discover: {how: fmf, link: ['verifies:.*/1', 'relates:b']}\n",
    "variables-in-plans": """
        environment: {WHICH: one, NAME: mine}
        discover: {how: fmf, name: '$NAME', test: ['$WHICH', '${UNKNOWN}x', '$@distro', 't$@{none}wo']}
        """,
    "nothing-but-execute": "summary: A plan\n",
    "ignored-steps": """
        discover: {how: fmf}
        provision: {how: local}
        prepare: [{how: shell, script: make}, {how: install, package: [bash]}]
        finish: {how: shell, script: make clean}
        report: {how: html}
        """,
    "summary-and-where": "discover: {how: fmf, summary: All}\nsummary: A plan\n",
}

SELECT_NOTHING = [PLANS["nothing-but-execute"]]
CONTEXT: Context = {"distro": ["fedora-42"], "arch": ["x86_64"]}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_phases(agree: Agree, plan: str) -> None:
    files = {"plan.fmf": _plan(plan), "t.fmf": TESTS}
    name = "/plan/inner" if "/inner" in plan else "/plan"
    outcome = agree(files, plan=name, context=CONTEXT)
    assert outcome["tests"] or plan in SELECT_NOTHING


def test_prefixes_make_names_of_their_own(agree: Agree) -> None:
    files = {"plan.fmf": _plan(PLANS["when"]), "t.fmf": TESTS}
    contexts: list[Context] = [{}, CONTEXT, {"distro": ["rhel-9"]}]
    assert all(agree(files, context=context)["tests"] for context in contexts)


SUBTREE: Mapping[str, str] = {
    "inner/.fmf/version": "1\n",
    "inner/deep/a.fmf": "test: inner\n",
    "a.fmf": "test: outer\n",
}


@pytest.mark.parametrize("path", ["inner", "./inner", "."])
def test_path(agree: Agree, path: str) -> None:
    plan = f"discover: {{how: fmf, path: {path}}}\n"
    assert agree({"plan.fmf": _plan(plan), **SUBTREE})["tests"]


def _plan(text: str) -> str:
    lines = text.strip("\n").splitlines()
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    body = "\n".join(line[margin:] for line in lines) + "\n"
    return "/: {inherit: false}\n" + body + ("" if "execute:" in body else "execute: {how: tmt}\n")
