"""The keys of tests and plans: those of tmt 1.78, and which of them have no effect here.

`extra-*` is known everywhere. What the phases of a plan may have, and what is refused, is known to
who reads it.
"""

import difflib
from collections.abc import Iterator, Set
from functools import cache

from .node import Keys

_DESCRIPTION = frozenset(
    {"author", "contact", "description", "id", "link", "summary", "tag"}
    | {"adjust", "enabled", "environment", "order"}
    | {"story", "example", "priority", "title"}  # which a test may be at the same time
)

IGNORED_IN_TESTS = (
    "check",
    "component",
    "restart-max-count",
    "restart-on-exit-code",
    "restart-with-reboot",
    "tier",
)
IN_TESTS = (
    _DESCRIPTION
    | {"test", "path", "duration", "require", "recommend", "framework", "manual", "result", "tty"}
    | set(IGNORED_IN_TESTS)
)

IGNORED_IN_PLANS = ("provision", "report", "login", "reboot", "cleanup")
IN_PLANS = (
    _DESCRIPTION
    | {"discover", "prepare", "execute", "finish", "context", "environment-file", "plan", "tier"}
    | {"ansible"}
    | set(IGNORED_IN_PLANS)
)
IN_EXECUTE = frozenset({"how", "name", "summary", "order", "script", "duration"})
"""Of the step `execute` of a plan; all others are ignored."""


def unknown_keys(keys: Keys, known: Set[str]) -> Iterator[tuple[str, str]]:
    """Each key that is not known, and the one that may have been meant, else ""."""
    for key in keys.data:
        if key not in known and not key.startswith("extra-"):
            yield key, _alike(key, frozenset(known))


@cache
def _alike(key: str, known: frozenset[str]) -> str:
    return next(iter(difflib.get_close_matches(key, sorted(known), n=1)), "")
