"""Which tests a plan selects, and in which order. All of it was compared with tmt 1.78."""

import pytest
from atex_fmf import MetadataError, discover

from .conftest import Grow

TESTS = """
test: 'true'
/one: {order: 60, tag: slow, tier: 1}
/three: {tag: [quick, net]}
/two: {order: 50, enabled: true}
/zero: {order: -1, tag: quick, tier: 2}
/off: {enabled: false}
/by-hand: {manual: true}
"""


@pytest.mark.parametrize(
    ("discover_keys", "selected"),
    [
        ("", "zero three two one"),
        ("test: one", "one"),
        ("test: [three, one, three]", "three one three"),
        ("test: [o, 'e$']", "zero two one three one"),
        ("test: t.o", "two"),
        ("test: /tests", "zero three two one"),
        ("test: [nothing]", ""),
        ("test: []", "zero three two one"),
        ("test: null", "zero three two one"),
        ("exclude: o$", "three one"),
        ("exclude: [zer, wo]", "three one"),
        ("test: [one, two], exclude: ^/tests/one$", "two"),
        ("filter: 'tag: quick'", "zero three"),
        ("filter: 'tag: -slow'", "zero three two"),
        ("filter: 'tag: quick & tier: 2'", "zero"),
        ("filter: 'tag: slow | tier: 2'", "zero one"),
        ("filter: ['tag: quick', 'tag: net']", "three"),
        ("filter: 'tier: -1'", "zero three two"),
        ("filter: 'tag: qu.*'", "zero three"),
        ("filter: 'enabled: true'", "zero three two one"),
        ("filter: 'nonsense: 1'", ""),
        ("filter: '/o & tag: slow'", ""),
        ("filter: ''", "zero three two one"),
        ("test: [three, zero, three], filter: 'tag: quick', exclude: zero", "three three"),
        ("name: all, summary: All of it, order: 3, prune: true", "zero three two one"),
    ],
)
def test_selection(grow: Grow, discover_keys: str, selected: str) -> None:
    root = grow({"tests.fmf": TESTS, "plan.fmf": f"discover: {{how: fmf, {discover_keys}}}"})
    suite = discover(root)
    assert [test.name for test in suite.tests] == [f"/tests/{name}" for name in selected.split()]
    assert [test.serial for test in suite.tests] == list(range(1, len(suite.tests) + 1))


def test_equal_order_keeps_the_order_of_the_tree(grow: Grow) -> None:
    root = grow(
        {
            "b.fmf": "test: 'true'\n/y: {}\n/x/deep: {}\n",
            "a/main.fmf": "test: 'true'\n",
            "a/z.fmf": "{}",
            "a/c.fmf": "order: 51",
            "a-b.fmf": "test: 'true'",
        }
    )
    assert [test.name for test in discover(root).tests] == [
        "/a/z",
        "/a-b",
        "/b/x/deep",
        "/b/y",
        "/a/c",
    ]


def test_directives(grow: Grow) -> None:
    root = grow(
        {
            "main.fmf": "test: 'true'\ntag: base\n",
            "branch.fmf": "/: {select: true}\n/leaf: {'/': {select: false}}\n",
            "apart.fmf": "/alone:\n  /: {inherit: false}\n  test: 'false'\n",
        }
    )
    tests = discover(root).tests
    assert [(test.name, test.test, test.tag, test.path) for test in tests] == [
        ("/apart/alone", "false", (), "/"),
        ("/branch", "true", ("base",), "/"),
    ]


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ("order: soon", "order must be a whole number, not 'soon'"),
        ("order: true", "order must be a whole number, not True"),
        ("enabled: maybe", "enabled must be true or false, not 'maybe'"),
        ("manual: 1", "manual must be true or false, not 1"),
    ],
)
def test_bad_values_have_test_and_place(grow: Grow, metadata: str, problem: str) -> None:
    root = grow({"smoke.fmf": f"test: 'true'\n{metadata}\n"})
    with pytest.raises(MetadataError, match=f"^/smoke: {problem} .{root}/smoke.fmf, line 2.$"):
        discover(root)
