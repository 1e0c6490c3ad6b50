"""Which tests of a tree run, and in which order: the rules of tmt's `discover: how: fmf`.

Regular expressions are searched for anywhere in the name of a test.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .errors import PatternError
from .filters import Condition, Filter
from .found import Found
from .link import LinkPattern
from .model import DEFAULT_ORDER
from .node import Keys, Node

Patterns = Sequence[re.Pattern[str]]
_Test = TypeVar("_Test", Node, Found)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a plan asks for; without arguments, all tests."""

    filters: Sequence[Filter] = ()
    """A test must match all of them."""
    conditions: Sequence[Condition] = ()
    """These, too."""
    links: Sequence[LinkPattern] = ()
    """It must have one of them, if there are any."""
    names: Patterns = ()
    """Each selects tests of its own, in this order; so a test can be selected several times."""
    included: Patterns = ()
    """One of them must be in the name, if there are any."""
    excluded: Patterns = ()


def named(nodes: Iterable[Node], selection: Selection) -> list[Node]:
    """The tests that may be selected by their names, whatever else they say."""
    return [node for node in nodes if is_test(node) and _is_named(node.name, selection)]


def select(tests: Iterable[Node], selection: Selection) -> list[Node]:
    """Those of the tests `named` that are selected, in the order to run them.

    Those that one regular expression selects, or all where there is none, are sorted by `order`
    and keep the order of the tree where it is equal. Raises MetadataError.
    """
    wanted = [node for node in tests if _is_wanted(node, selection)]
    enabled = [node for node in wanted if is_automatic(node)]
    ordered = sorted(enabled, key=lambda node: node.integer("order", DEFAULT_ORDER))
    if not selection.names:
        return ordered
    return [node for name in selection.names for node in ordered if name.search(node.name)]


def narrow(tests: Iterable[_Test], patterns: str | Sequence[str]) -> list[_Test]:
    """Those that any of the patterns is found in, or all if there is none; order and duplicates
    stay. Raises PatternError."""
    listed = [patterns] if isinstance(patterns, str) else patterns
    try:
        compiled = [re.compile(pattern) for pattern in listed]
    except re.error as error:
        raise PatternError(f"{error.pattern!r} is not a regular expression: {error}") from error
    return [test for test in tests if not compiled or _is_found(compiled, test.name)]


def is_test(node: Node) -> bool:
    """Whether it defines a test, be it to run or not."""
    return "test" in node.data


def is_automatic(test: Keys) -> bool:
    """Whether a test runs, and without a human."""
    return test.is_default("enabled", True) and test.is_default("manual", False)


def _is_named(name: str, selection: Selection) -> bool:
    return (
        (not selection.names or _is_found(selection.names, name))
        and (not selection.included or _is_found(selection.included, name))
        and not _is_found(selection.excluded, name)
    )


def _is_wanted(node: Node, selection: Selection) -> bool:
    return (
        all(filter_.matches(node) for filter_ in selection.filters)
        and all(condition.matches(node) for condition in selection.conditions)
        and (not selection.links or any(link.matches(node) for link in selection.links))
    )


def _is_found(patterns: Patterns, name: str) -> bool:
    return any(pattern.search(name) for pattern in patterns)
