"""The fmf library's debug log, at no cost where nobody reads it.

The library formats the data of all nodes for it, twice each, and only then asks whether anybody wants the log. That
takes half of the time in which it reads a tree. So formatting is put off until somebody wants it; what is logged and
shown stays the same. Why we reach into the library at all: docs/decisions/0016-no-debug-log-that-nobody-reads.md.
"""

from pprint import pformat
from typing import Any

import fmf.base


class _Formatted:
    """What the function `pretty` of the library returns, in time for `str()` or for adding it to a string."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __str__(self) -> str:
        return pformat(self._value)

    def __radd__(self, text: str) -> str:
        return text + str(self)


def put_off_formatting() -> None:
    """For this whole process, and for good; any threads may call it, any number of times."""
    fmf.base.pretty = _Formatted
