"""What single keys of tests and plans come to."""

import pytest

from tests.fmf.beside_tmt.conftest import PLAN, Agree

KEYS = {
    "duration-units": [
        "duration: 30",
        "duration: '90'",
        "duration: 5s",
        "duration: 7m",
        "duration: 2h",
        "duration: 1d",
    ],
    "duration-sums": [
        "duration: 1h 30m",
        "duration: 1h30m",
        "duration: 1h 3h 2m 3",
        "duration: 1 m2   m",
    ],
    "duration-products": [
        "duration: '*2'",
        "duration: '*3 2s *4'",
        "duration: 10m *1.5",
        "duration: 1s *1.01",
    ],
    "path": ["path: /", "path: /deep/folder", "path: /deep/", "path: null"],
    "tag": ["tag: one", "tag: [one, two]", "tag: []", "tag: one two", "tag: 'a, b'"],
    "require": [
        "require: bash",
        "require: [bash, sed]",
        "require: [{type: file, pattern: /lib}]",
        "require: {type: file, pattern: [/lib, /data]}",
        "recommend: vim",
        "recommend: [vim, nano]",
        "require: []",
    ],
    "environment": [
        "environment: {A: '1', B: two words}",
        "environment: {A: 1, B: 1.5, C: true, D: false, E: 017, F: 1e3}",
        "environment: {}",
        "environment: null",
        "environment: {A: '', B: $A, C: \"x\\ny\"}",
        "environment: {A: yes, B: 2024-01-01}",
    ],
    "order": ["order: 1", "order: -1", "order: 0"],
    "enabled": ["enabled: true", "enabled: false"],
    "manual": ["manual: true", "manual: false"],
    "others": [
        "framework: shell",
        "tty: true",
        "tty: false",
        "result: xfail",
        "tier: 1",
        "id: abc",
        "component: bash",
        "link: {relates: /x}",
        "check: []",
        "author: Me",
        "extra-x: [1, {a: b}]",
    ],
    "scripts": [
        "test: ./a.sh --with 'quotes' \"and\" $(more)",
        'test: "two\\nlines"',
        "test: 'true'",
    ],
}


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_keys_of_tests(agree: Agree, keys: list[str]) -> None:
    nodes = [f"/t{number}:\n    test: run\n    {key}\n" for number, key in enumerate(keys)]
    if keys is KEYS["scripts"]:
        nodes = [node.replace("    test: run\n", "", 1) for node in nodes]
    files = {"deep/folder/x.fmf": "test: run\n", "lib/x": "", "data/x": ""}
    assert agree({"tests.fmf": "".join(nodes), **files})["tests"]


PLANS = {
    "environment": "environment: {A: '1', B: two words}\n",
    "environment-types": "environment: {A: 1, B: 1.5, C: true, D: 017, E: ''}\n",
    "environment-file-dotenv": "environment-file: vars.env\nenvironment: {B: mine}\n",
    "environment-file-yaml": "environment-file: [vars.yaml]\n",
    "environment-files": "environment-file: [vars.env, vars.yaml, ./deep/more.env]\n",
    "environment-file-empty": "environment-file: []\n",
}

FILES = {
    "vars.env": "A=1\nB=2\n# a comment\n\nC=3\nD='four words'\nE=\"five\"\n",
    "vars.yaml": "A: one\nN: 5\nF: 1.5\nT: true\n",
    "deep/more.env": "A=last\nURL=http://x/?a=b#c\n",
    "tests.fmf": "test: run\nenvironment: {A: test}\n/one: {}\n",
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_environment_of_plans(agree: Agree, plan: str) -> None:
    assert agree({**FILES, "plan.fmf": PLAN + plan})["tests"]


def test_disabled_plans(agree: Agree) -> None:
    plans = "/off: {enabled: false}\n/on: {enabled: true}\n"
    assert agree({**FILES, "plan.fmf": PLAN + plans}, plan="/plan/on")["tests"]
