"""Variables in plans.

As tmt does it: in all strings of a plan `$NAME` and `${NAME}` stand for variables of the plan, and
`$@NAME` and `$@{NAME}` for dimensions of the context, several values with commas between them.
What is not known stays as it is, for the shell that may know it.
"""

import re
from collections.abc import Mapping
from typing import Any

from .context import Context
from .node import Keys

_REFERENCE = re.compile(r"\$ (@?) (?: (\w+) | \{ ([^}$]*) \} )", re.ASCII | re.VERBOSE)


def expanded(plan: Keys, variables: Mapping[str, str], context: Context) -> Keys:
    """The plan with what its references stand for. Keys of mappings are left alone."""
    dimensions = {name: ",".join(values) for name, values in context.items()}

    def replace(match: re.Match[str]) -> str:
        known = dimensions if match[1] else variables
        return known.get(match[2] or match[3], match[0])

    def expand(value: Any) -> Any:
        if isinstance(value, str):
            return _REFERENCE.sub(replace, value) if "$" in value else value
        if isinstance(value, list):
            return [expand(item) for item in value]
        if isinstance(value, dict):
            return {key: expand(item) for key, item in value.items()}
        return value

    return plan.replaced({key: expand(value) for key, value in plan.data.items()})
