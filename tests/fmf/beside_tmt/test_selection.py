"""Which tests a phase of `discover` selects, and in which order."""

import pytest

from tests.fmf.beside_tmt.conftest import Agree

TESTS = """
test: run
link: {verifies: "https://example.com/1"}
/one: {order: 60, tag: slow, tier: 1, component: [bash]}
/three: {tag: [quick, net], tier: '2'}
/two: {order: 50, enabled: true, contact: Me <me@example.com>}
/zero: {order: -1, tag: quick, tier: 2, duration: 1h}
/off: {enabled: false}
/by-hand: {manual: true, path: /}
/tale: {story: As a user I want}
/group:
    /four: {tag: [slow], order: 50}
    /one: {summary: Another one}
"""

# What stands beside `how: fmf`.
KEYS = {
    "everything": "",
    "test": "test: one",
    "test-order-and-duplicates": "test: [three, one, three]",
    "test-order-within-a-pattern": "test: [o, 'e$']",
    "test-is-searched": "test: [t.o, ^/tests/one$, /tests/group]",
    "test-empty": "test: []",
    "include": "include: [three, one, three]",
    "include-string": "include: zero",
    "include-and-test": "test: [three, one, three], include: [group, three]",
    "exclude": "exclude: [zer, wo]",
    "exclude-string": "exclude: o$",
    "exclude-and-test": "test: [one, two, one], exclude: ^/tests/one$",
    "include-and-exclude": "include: [one, two], exclude: [group]",
    "filter-tag": "filter: 'tag: quick'",
    "filter-not": "filter: 'tag: -slow'",
    "filter-and": "filter: 'tag: quick & tier: 2'",
    "filter-or": "filter: 'tag: slow | tier: 2'",
    "filter-values": "filter: 'tag: slow, net'",
    "filter-list": "filter: ['tag: quick', 'tag: net']",
    "filter-regexp": "filter: 'tag: qu.*'",
    "filter-boolean": "filter: 'enabled: true'",
    "filter-boolean-upper": "filter: 'enabled: True'",
    "filter-default": "filter: 'duration: 5m & framework: shell'",
    "filter-contact": "filter: 'contact: .*me@.*'",
    "filter-component": "filter: 'component: bash'",
    "filter-summary": "filter: 'summary: Another.*'",
    "filter-order": "filter: 'order: 50'",
    "filter-tier-number": "filter: 'tier: 1'",
    "filter-and-test": "test: [three, zero, three], filter: 'tag: quick', exclude: zero",
    "require-test": "require-test: [/tests/one, /tests/two]",
    "one-phase-with-a-name": "name: all, summary: All of it, order: 3",
    "prune": "prune: false",
    "adjust-tests-empty": "adjust-tests: []",
}

NULL = "test: x\n/a: {extra-x: null, tag: null, tier: null}\n/b: {extra-x: y}\n/c: {}\n"
FILTERS_OF_NULL = {
    "extra": "extra-x: None",
    "extra-not": "extra-x: -y",
    "tag-not": "tag: -slow",
    "tier": "tier: None",
}


@pytest.mark.parametrize("text", FILTERS_OF_NULL.values(), ids=FILTERS_OF_NULL)
def test_filters_see_null(agree: Agree, text: str) -> None:
    plan = f"discover: {{how: fmf, filter: '{text}'}}\nexecute: {{how: tmt}}\n"
    assert agree({"plan.fmf": plan, "tests.fmf": NULL})["tests"]


SHOWN = """
test: x
/a: {link: 'verifies:https://example.com/1', check: avc, path: /deep/}
/b: {link: [/stories/x], check: [{how: dmesg}]}
/c: {link: {implements: /y}}
"""
FILTERS_OF_SHOWN = {
    "link": "link: .*'verifies'.*",
    "link-whole": "link: {'verifies'. 'https.//example.com/1'}",
    "link-of-the-usual-relation": "link: .*relates.*",
    "link-that-is-a-mapping": "link: .*implements.*",
    "check": "check: .*how.*avc.*",
    "check-that-is-a-mapping": "check: .*dmesg.*",
    "path": "path: /deep",
}


@pytest.mark.parametrize("text", FILTERS_OF_SHOWN.values(), ids=FILTERS_OF_SHOWN)
def test_filters_see_what_tmt_shows(agree: Agree, text: str) -> None:
    plan = f'discover: {{how: fmf, filter: "{text}"}}\nexecute: {{how: tmt}}\n'
    assert len(agree({"plan.fmf": plan, "tests.fmf": SHOWN})["tests"]) == 1


SELECT_NOTHING = {
    "test-nothing": "test: [nothing]",
    "filter-disabled": "filter: 'enabled: false'",
    "filter-unknown-key": "filter: 'nonsense: 1'",
    "filter-name": "filter: '/group & tag: slow'",
}


@pytest.mark.parametrize(
    "keys", [*KEYS.values(), *SELECT_NOTHING.values()], ids=[*KEYS, *SELECT_NOTHING]
)
def test_keys_of_a_phase(agree: Agree, keys: str) -> None:
    plan = f"discover: {{how: fmf, {keys}}}\nexecute: {{how: tmt}}\n"
    outcome = agree({"plan.fmf": plan, "tests.fmf": TESTS})
    assert bool(outcome["tests"]) == (keys in KEYS.values())


TREES = {
    "equal-order-keeps-the-order-of-names": "test: x\n/b: {}\n/a: {order: 50}\n/C: {}\n",
    "order-negative-and-large": "test: x\n/b: {order: -10}\n/a: {order: 1000}\n/c: {order: 0}\n",
    "enabled-is-inherited": "test: x\nenabled: false\n/a: {}\n/b: {enabled: true}\n",
    "manual-is-inherited": "test: x\nmanual: true\n/a: {}\n/b: {manual: false}\n",
    "enabled-null": "test: x\n/a: {enabled: null}\n/b: {enabled: true}\n",
    "manual-null": "test: x\n/a: {manual: null}\n/b: {manual: false}\n",
    "story-beside-test": "/a: {test: x}\n/b: {story: I want}\n/c: {story: I, test: x}\n",
    "no-test-key": "summary: nothing\n/a: {test: x}\n/b: {}\n",
}


@pytest.mark.parametrize("tests", TREES.values(), ids=TREES)
def test_what_is_a_test(agree: Agree, tests: str) -> None:
    assert agree({"tests.fmf": tests})["tests"]


def test_a_plan_that_inherits_a_test_is_one(agree: Agree) -> None:
    files = {"main.fmf": "test: run\n", "a.fmf": "tag: x\n", "plan.fmf": "execute: {how: tmt}\n"}
    agree(files)
    selected = agree({**files, "plan.fmf": "discover: {how: fmf}\nexecute: {how: tmt}\n"})
    assert [test["name"] for test in selected["tests"]] == ["/a", "/plan"]
