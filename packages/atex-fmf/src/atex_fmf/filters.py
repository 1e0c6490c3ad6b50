"""What a phase of discover asks of the metadata of a test: `filter` and `condition`."""

import ast
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

import fmf

from .errors import MetadataError
from .link import pair
from .node import Keys, Node

# What tmt 1.78 lets a filter see of a test that does not have the key itself. Without them
# `tag: -slow` would turn down a test that has no tags.
_DEFAULTS: Mapping[str, Any] = {
    "author": [],
    "check": [],
    "component": [],
    "contact": [],
    "description": None,
    "duration": "5m",
    "enabled": True,
    "environment": {},
    "framework": "shell",
    "id": None,
    "link": [],
    "manual": False,
    "order": 50,
    "recommend": [],
    "require": [],
    "restart-max-count": 1,
    "restart-on-exit-code": [],
    "restart-with-reboot": False,
    "result": "respect",
    "summary": None,
    "tag": [],
    "tier": None,
    "tty": False,
}


# What a condition may be made of. It says nothing that could do anything: the tree may be that of a
# pull request, and this is not the machine that is to run it.
_PARTS = (
    ast.Expression,
    ast.BoolOp,
    ast.boolop,
    ast.UnaryOp,
    ast.unaryop,
    ast.Compare,
    ast.cmpop,
    ast.Constant,
    ast.Name,
    ast.expr_context,
    ast.List,
    ast.Tuple,
    ast.Subscript,
)


class Filter:
    """A filter of a plan, such as `tag: quick & tier: 1 | tag: -slow`."""

    def __init__(self, expression: str, plan: Keys) -> None:
        self._expression = expression
        self._plan = plan

    def matches(self, node: Node) -> bool:
        """Whether a test passes. A key that neither the test nor tmt's defaults have is no match; nor is,
        as in tmt, a part without a colon, which the library would search for in the name.

        Raises MetadataError, of the plan, for a filter that is broken.
        """
        data = _seen(node)
        for key, value in data.items():
            if isinstance(value, bool):  # people write both `enabled: true` and `enabled: True`
                data[key] = [str(value), str(value).lower()]
        try:
            return bool(fmf.filter(self._expression, data, regexp=True))
        except fmf.utils.FilterError:
            return False
        except Exception as error:
            raise self._plan.error(
                f"filter: {self._expression!r} cannot be applied: {error}", key="filter"
            ) from error


class Condition:
    """A condition of a plan: a Python expression over the keys of a test, such as `order > 50 and
    "slow" not in tag`.

    Of Python it may have `and`, `or`, `not`, comparisons, `in`, constants, lists and subscripts, and no
    calls. Raises MetadataError for anything else.
    """

    def __init__(self, expression: str, plan: Keys) -> None:
        self._expression = expression
        self._plan = plan
        try:
            parsed = ast.parse(expression.strip(), mode="eval")
        except (SyntaxError, ValueError) as error:
            raise self._error(f"is no Python expression: {error}") from error
        for part in ast.walk(parsed):
            if not isinstance(part, _PARTS):
                raise self._error(f"must not have a {type(part).__name__}")
        self._code = compile(parsed, "condition", "eval")

    def matches(self, node: Node) -> bool:
        """Whether a test passes; one that lacks a key which the condition comes to does not.

        Raises MetadataError, of the plan, where keys are not of the types that it takes them for.
        """
        try:
            return bool(eval(self._code, {"__builtins__": {}}, _seen(node)))
        except (NameError, KeyError):
            return False
        except Exception as error:
            raise self._error(f"cannot be applied to {node.name}: {error}") from error

    def _error(self, problem: str) -> MetadataError:
        return self._plan.error(f"condition: {self._expression!r} {problem}", key="condition")


def _seen(node: Node) -> dict[str, Any]:
    """The keys of a test as tmt shows them to filters and conditions."""
    usual = {**_DEFAULTS, "path": node.folder}
    given = {
        key: value for key, value in node.data.items() if value is not None or key not in usual
    }
    shown = {key: show(given[key]) for key, show in _SHOWN.items() if key in given}
    return {**usual, **given, **shown, "name": node.name}


def _path(path: object) -> object:
    return str(PurePosixPath(path)) if isinstance(path, str) else path


def _links(links: object) -> list[object]:
    return _mappings(links, lambda link: dict([pair(link)]))


def _checks(checks: object) -> list[object]:
    return _mappings(checks, lambda check: {"how": check})


def _mappings(values: object, mapping: Callable[[str], dict[str, str]]) -> list[object]:
    listed = values if isinstance(values, list) else [values]
    return [mapping(value) if isinstance(value, str) else value for value in listed]


_SHOWN = {"path": _path, "link": _links, "check": _checks}
"""What tmt shows otherwise than it is written."""
