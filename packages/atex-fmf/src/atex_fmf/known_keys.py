"""The keys of tests and plans: those of tmt 1.78, and which of them have no effect here.

`extra-*` is known everywhere. What the phases of a plan may have, and what is refused, is known to
who reads it.
"""

import difflib
from functools import cache

from .node import Keys, Node

IGNORED_IN_TESTS = (
    "check",
    "component",
    "restart-max-count",
    "restart-on-exit-code",
    "restart-with-reboot",
    "tier",
)
IGNORED_IN_PLANS = ("provision", "report", "login", "reboot", "cleanup", "ansible")
IN_EXECUTE = frozenset({"how", "name", "summary", "order", "script", "duration"})
"""Of the step `execute` of a plan; all others are ignored."""

_DESCRIPTION = frozenset(
    {"author", "contact", "description", "id", "link", "summary", "tag"}
    | {"adjust", "enabled", "environment", "order"}
    | {"story", "example", "priority", "title"}  # which a test may be at the same time
)
_IN_TESTS = (
    _DESCRIPTION
    | {"test", "path", "duration", "require", "recommend", "framework", "manual", "result", "tty"}
    | {"name"}  # of those in a plan
    | set(IGNORED_IN_TESTS)
)
_IN_PLANS = (
    _DESCRIPTION
    | {"discover", "prepare", "execute", "finish", "context", "environment-file", "plan", "tier"}
    | set(IGNORED_IN_PLANS)
)
_PLAN = ("execute", "plan")  # a test that has one of these is a plan as well


def unknown_keys(keys: Keys) -> list[str]:
    """The keys of a test or a plan that mean nothing."""
    known = _known(keys)
    names = map(str, keys.data)  # of a test in a plan, YAML's keys may be anything
    return [name for name in names if name not in known and not name.startswith("extra-")]


def alike(key: str, keys: Keys) -> str:
    """The known key of a test or plan that may have been meant by an unknown one, else ""."""
    return _alike(key, _known(keys))


def _known(keys: Keys) -> frozenset[str]:
    if isinstance(keys, Node) and "test" not in keys.data:
        return _IN_PLANS
    return _IN_TESTS if keys.data.keys().isdisjoint(_PLAN) else _IN_TESTS | _IN_PLANS


@cache
def _alike(key: str, known: frozenset[str]) -> str:
    return next(iter(difflib.get_close_matches(key, sorted(known), n=1)), "")
