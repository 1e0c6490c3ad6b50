"""tmt, and the question whether it and ATEX select the same."""

from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.fmf.beside_tmt.comparison import Context, Outcome, Tmt, atex_selects
from tests.fmf.conftest import Grow

PLAN = "/: {inherit: false}\ndiscover: {how: fmf}\nexecute: {how: tmt}\n"

Agree = Callable[..., Outcome]
"""Grow a tree of these files, by default with a plan for all tests; assert that both select the same; return it."""


@pytest.fixture(scope="session")
def tmt() -> Iterator[Tmt]:
    with Tmt() as tmt:
        yield tmt


@pytest.fixture
def agree(tmt: Tmt, grow: Grow) -> Agree:
    def agree(
        files: Mapping[str, str], *, plan: str = "/plan", context: Context | None = None
    ) -> Outcome:
        tree = grow({"plan.fmf": PLAN, **files})
        expected = tmt.selects(tree, plan, context or {})
        assert_equal(atex_selects(tree, plan, context or {}), expected)
        return expected

    return agree


def assert_equal(ours: Outcome, tmts: Outcome) -> None:
    """Names first, then test by test: so that what pytest shows is short."""
    assert [test["name"] for test in ours["tests"]] == [test["name"] for test in tmts["tests"]]
    for mine, theirs in zip(ours["tests"], tmts["tests"], strict=True):
        assert mine == theirs
    assert ours["environment"] == tmts["environment"]
