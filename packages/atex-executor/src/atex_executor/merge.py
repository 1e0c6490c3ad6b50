"""How several results become one: spec/RESULTS.md, "Partial results". Pure.

Used for partial results, and for those of the test itself, which end up in its final record.
"""

from collections.abc import Mapping
from typing import Any


def merge(held: dict[str, Any], further: Mapping[str, Any]) -> None:
    """Merge the keys of `further` into `held`, in place; takes as long as `further` is large, whatever is held.

    New keys are added; `None` deletes; lists are extended; objects are merged recursively; all else, a value of
        another type too, replaces. `further` stays as it was; later merges into `held` do not change it either.
    """
    for key, value in further.items():
        before = held.get(key)
        if value is None:
            held.pop(key, None)
        elif isinstance(value, dict):
            inner = before if isinstance(before, dict) else {}
            merge(inner, value)
            held[key] = inner
        elif isinstance(value, list):
            if isinstance(before, list):
                before.extend(value)
            else:
                held[key] = [*value]
        else:
            held[key] = value
