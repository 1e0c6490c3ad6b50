"""Which dimensions the rules of a tree ask for and the context does not have.

Such a rule of `adjust` is skipped, and where it would have switched tests off, they are selected and
cannot pass. Such a rule of `when` does not hold, and the phase is left out.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import fmf

from .context import Context
from .node import Keys

_STEPS = ("discover", "prepare", "finish")


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

    def missing(self, names: Iterable[str]) -> set[str]:
        """The dimensions that rules of the nodes of these names would be decided by."""
        conditions = set().union(*(self._conditions.get(name, ()) for name in names))
        return set().union(*(_missing(condition, self._context) for condition in conditions))


def missing_in_phases(plan: Keys, context: Context) -> set[str]:
    """The dimensions that decide which phases of a plan run. Raises MetadataError."""
    phases = [phase for step in _STEPS for phase in plan.mappings(step)]
    conditions = {condition for phase in phases for condition in phase.strings("when")}
    decided_by = fmf.Context(**context)
    return set().union(*(_missing(condition, decided_by) for condition in conditions))


def _missing(condition: str, context: Any) -> set[str]:
    """Those without which the condition is undecided, though with them it might be true."""
    return set().union(
        *(_missing_in(expressions, context) for expressions in fmf.Context.parse_rule(condition))
    )


def _missing_in(expressions: list[Any], context: Any) -> set[str]:
    missing = set()
    for expression in expressions:
        try:
            if not context.evaluate(expression):
                return set()
        except fmf.context.CannotDecide:
            dimension = expression[0]
            if context.evaluate((dimension, "is defined", None)):
                return set()  # its value cannot be compared, and that counts as false
            missing.add(dimension)
    return missing
