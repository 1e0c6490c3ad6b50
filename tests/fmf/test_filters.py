"""Conditions and links: what a phase of discover asks of the metadata of a test, beside filters."""

import pytest
from atex_fmf import MetadataError, discover

from .conftest import Grow

TESTS = """
test: run
/one:
    order: 60
    tag: [slow]
    tier: 1
    link: verifies:https://example.com/issues/85
/two:
    tag: [quick]
    link:
      - implements: https://example.com/850
      - https://example.com/doc
/three:
    link: {relates: {url: "https://example.com", name: /stories/three}, note: what}
/four:
    link: {name: /stories/four}
/none:
    link: [{verifies: a, relates: b}, 5]
"""


def selected(grow: Grow, keys: str) -> str:
    plan = f"discover:\n    how: fmf\n    {keys}\n"
    tests = discover(grow({"plan.fmf": plan, "t.fmf": TESTS})).tests
    return " ".join(sorted(test.name.removeprefix("/t/") for test in tests))


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("order > 55", "one"),
        ("'quick' in tag or order == 60", "one two"),
        ("tag and not 'slow' in tag", "two"),
        ("tier is not None", "one"),
        ("tag == ['quick']", "two"),
        ("name in ('/t/four', '/t/none') and framework == 'shell'", "four none"),
        ("nonsense == 1", ""),
        ("enabled is True and order == 50 and -1 < order", "four none three two"),
    ],
)
def test_conditions(grow: Grow, condition: str, names: str) -> None:
    assert selected(grow, f'condition: "{condition}"') == names
    assert selected(grow, f'condition: ["{condition}", "order > 0"]') == names


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ("order >", "is no Python expression"),
        ("order > 'a'", "cannot be applied to /t/"),
        ("open('/etc/passwd')", "must not have a Call"),
        ("name.upper", "must not have a Attribute"),
        ("[x for x in tag]", "must not have a ListComp"),
        ("9**9", "must not have a BinOp"),
        ("(x := 1)", "must not have a NamedExpr"),
        ("lambda: 1", "must not have a Lambda"),
    ],
)
def test_bad_conditions(grow: Grow, condition: str, problem: str) -> None:
    with pytest.raises(MetadataError, match=f"^/plan: discover: condition: .*{problem}.*line 3"):
        selected(grow, f'condition: "{condition}"')


@pytest.mark.parametrize(
    ("link", "names"),
    [
        ("verifies:issues/85$", "one"),
        ("'85'", "one two"),
        ("['verifies:85', 'implements:85']", "one two"),
        ("ver.*:.*", "one"),
        ("relates:doc$", "two"),
        ("relates:/stories", "four three"),
        ("'.*'", "four one three two"),
        ("nothing", ""),
        ("[]", "four none one three two"),
    ],
)
def test_links(grow: Grow, link: str, names: str) -> None:
    """All of it was compared with tmt 1.78, but links that are none, for which it fails."""
    assert selected(grow, f"link: {link}") == names


def test_a_link_that_is_no_regular_expression(grow: Grow) -> None:
    with pytest.raises(MetadataError, match=r"discover: link: 'a\(' is not a regular expression"):
        selected(grow, "link: 'verifies:a('")
