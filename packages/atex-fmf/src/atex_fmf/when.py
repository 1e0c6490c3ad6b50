"""Whether a phase of a plan runs in a context."""

import fmf

from .context import Context
from .node import Keys


def holds(phase: Keys, context: Context) -> bool:
    """Whether one of the rules of the phase's `when` holds, or it has none.

    As in tmt, a rule that asks for a dimension which the context does not have does not hold, and
    values must match in upper and lower case, which they need not where `adjust` asks.

    Raises MetadataError for a rule that is none.
    """
    rules = phase.strings("when")
    return not rules or any(_holds(rule, phase, context) for rule in rules)


def _holds(rule: str, phase: Keys, context: Context) -> bool:
    try:
        return bool(fmf.Context(**context).matches(rule))
    except fmf.context.CannotDecide:
        return False
    except Exception as error:
        raise phase.error(f"when: {rule!r} is not a rule: {error}", key="when") from error
