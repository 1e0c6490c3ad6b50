"""Which dimensions the rules of a tree ask for and the context does not have.

Such a rule is skipped, and where it would have switched tests off, they are selected and cannot pass.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import fmf


class Undecided:
    """Notes the conditions that could not be decided, while a tree is adjusted: to be passed to the
    library's `adjust(decision_callback=...)`.
    """

    def __init__(self, context: Any) -> None:
        """`context`: the library's own, that the tree is adjusted to."""
        self._context = context
        self._conditions: dict[str, set[str]] = defaultdict(set)

    def __call__(self, node: Any, rule: dict[str, Any], applied: bool | None) -> None:
        if applied is None:
            self._conditions[node.name].add(rule["when"])

    def missing(self, names: Iterable[str]) -> list[str]:
        """The dimensions, sorted, that rules of the nodes of these names would be decided by."""
        conditions = set().union(*(self._conditions.get(name, ()) for name in names))
        return sorted(set().union(*map(self._missing, conditions)))

    def _missing(self, condition: str) -> set[str]:
        """Those without which the condition is undecided, though with them it might be true."""
        alternatives = fmf.Context.parse_rule(condition)
        return set().union(*map(self._missing_in, alternatives))

    def _missing_in(self, expressions: list[Any]) -> set[str]:
        missing = set()
        for expression in expressions:
            try:
                if not self._context.evaluate(expression):
                    return set()
            except fmf.context.CannotDecide:
                dimension = expression[0]
                if self._context.evaluate((dimension, "is defined", None)):
                    return set()  # its value cannot be compared, and that counts as false
                missing.add(dimension)
        return missing
