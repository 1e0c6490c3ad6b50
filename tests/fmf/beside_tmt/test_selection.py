"""Which tests a phase of `discover` selects, and in which order."""

from collections.abc import Mapping

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

# What stands beside `how: fmf`, and how many tests tmt selects then.
KEYS = {
    "everything": ("", 7),
    "test": ("test: one", 2),
    "test-order-and-duplicates": ("test: [three, one, three]", 4),
    "test-order-within-a-pattern": ("test: [o, 'e$']", 8),
    "test-is-searched": ("test: [t.o, ^/tests/one$, /tests/group]", 4),
    "test-empty": ("test: []", 7),
    "test-nothing": ("test: [nothing]", 0),
    "include": ("include: [three, one, three]", 3),
    "include-string": ("include: zero", 1),
    "include-and-test": ("test: [three, one, three], include: [group, three]", 3),
    "exclude": ("exclude: [zer, wo]", 5),
    "exclude-string": ("exclude: o$", 5),
    "exclude-and-test": ("test: [one, two, one], exclude: ^/tests/one$", 3),
    "include-and-exclude": ("include: [one, two], exclude: [group]", 2),
    "filter-tag": ("filter: 'tag: quick'", 2),
    "filter-not": ("filter: 'tag: -slow'", 5),
    "filter-and": ("filter: 'tag: quick & tier: 2'", 2),
    "filter-or": ("filter: 'tag: slow | tier: 2'", 4),
    "filter-values": ("filter: 'tag: slow, net'", 3),
    "filter-list": ("filter: ['tag: quick', 'tag: net']", 1),
    "filter-regexp": ("filter: 'tag: qu.*'", 2),
    "filter-boolean": ("filter: 'enabled: true'", 7),
    "filter-boolean-upper": ("filter: 'enabled: True'", 7),
    "filter-disabled": ("filter: 'enabled: false'", 0),
    "filter-unknown-key": ("filter: 'nonsense: 1'", 0),
    "filter-name": ("filter: '/group & tag: slow'", 1),
    "filter-default": ("filter: 'duration: 5m & framework: shell'", 6),
    "filter-contact": ("filter: 'contact: .*me@.*'", 1),
    "filter-component": ("filter: 'component: bash'", 1),
    "filter-summary": ("filter: 'summary: Another.*'", 1),
    "filter-order": ("filter: 'order: 50'", 4),
    "filter-tier-number": ("filter: 'tier: 1'", 1),
    "filter-and-test": ("test: [three, zero, three], filter: 'tag: quick', exclude: zero", 2),
    "require-test": ("require-test: [/tests/one, /tests/two]", 7),
    "one-phase-with-a-name": ("name: all, summary: All of it, order: 3", 7),
    "prune": ("prune: false", 7),
    "adjust-tests-empty": ("adjust-tests: []", 7),
}


@pytest.mark.parametrize(("keys", "count"), KEYS.values(), ids=KEYS)
def test_keys_of_a_phase(agree: Agree, keys: str, count: int) -> None:
    plan = f"discover: {{how: fmf, {keys}}}\nexecute: {{how: tmt}}\n"
    assert len(agree({"plan.fmf": plan, "tests.fmf": TESTS})["tests"]) == count


TREES: Mapping[str, tuple[str, int]] = {
    "equal-order-keeps-the-order-of-names": ("test: x\n/b: {}\n/a: {order: 50}\n/C: {}\n", 3),
    "order-negative-and-large": (
        "test: x\n/b: {order: -10}\n/a: {order: 1000}\n/c: {order: 0}\n",
        3,
    ),
    "enabled-is-inherited": ("test: x\nenabled: false\n/a: {}\n/b: {enabled: true}\n", 1),
    "manual-is-inherited": ("test: x\nmanual: true\n/a: {}\n/b: {manual: false}\n", 1),
    "story-beside-test": ("/a: {test: x}\n/b: {story: I want}\n/c: {story: I, test: x}\n", 1),
    "no-test-key": ("summary: nothing\n/a: {test: x}\n/b: {}\n", 1),
}


@pytest.mark.parametrize(("tests", "count"), TREES.values(), ids=TREES)
def test_what_is_a_test(agree: Agree, tests: str, count: int) -> None:
    assert len(agree({"tests.fmf": tests})["tests"]) == count
