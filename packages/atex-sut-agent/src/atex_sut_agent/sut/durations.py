"""Durations as fmf tests and the control file write them. Used by both ends.

The grammar is tmt's (its documentation of the test key `duration`, checked against 1.78): terms are added up,
then multiplied by each `*N`, then rounded up to whole seconds. A term is a number with an optional unit
s, m, h or d; without one it is seconds. Spaces may stand anywhere between numbers, units and stars.
"""

import math
import re

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_TERM = re.compile(r"(\*)?\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.ASCII)
LONGEST = 100 * 365 * 86400  # seconds; far beyond any test, and safe to add to any clock


def parse_duration(text: str) -> int:
    """Return the seconds (int) that `text` stands for. Raises ValueError, with the reason, where it is none."""
    total = 0.0
    factor = 1.0
    terms = 0
    position = 0
    stripped = text.strip()
    while position < len(stripped):
        match = _TERM.match(stripped, position)
        if not match:
            raise ValueError("{!r} is no duration like '5m' or '1h 30m'".format(text))
        star, number, unit = match.groups()
        if star:
            if unit:
                raise ValueError("duration {!r}: a multiplier has no unit".format(text))
            factor *= float(number)
        elif unit in _SECONDS:
            total += float(number) * _SECONDS[unit]
            terms += 1
        else:
            raise ValueError(
                "duration {!r}: unknown unit {!r}, known are s, m, h and d".format(text, unit)
            )
        position = match.end()
    if not terms:
        raise ValueError("{!r} is no duration like '5m' or '1h 30m'".format(text))
    seconds = total * factor
    if not seconds <= LONGEST:
        raise ValueError("duration {!r} is longer than 100 years".format(text))
    return math.ceil(seconds)
