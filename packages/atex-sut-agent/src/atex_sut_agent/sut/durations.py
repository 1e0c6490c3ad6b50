"""Durations as fmf tests and the control file write them. Used by both ends.

The grammar is tmt's (`duration_to_seconds` of 1.78), and that of atex_fmf, which reads tests' metadata; tests/contract
holds the two equal. Terms, whole numbers with an optional unit s, m, h or d, are added up; the sum is multiplied by
each factor, `*N`, which may have a fraction, and rounded up to whole seconds. Spaces may stand anywhere between them.
"""

import math
import re

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_PART = re.compile(
    r"(?:\*\s*(?P<factor>[0-9]+(?:\.[0-9]+)?)|(?P<count>[0-9]+)\s*(?P<unit>[a-z]*))\s*"
)
LONGEST = 100 * 365 * 86400  # seconds; far beyond any test, and safe to add to any clock


def parse_duration(text: str) -> int:
    """Return the seconds that `text` stands for. Raises ValueError, with the reason, where it is none."""
    total = 0.0
    factor = 1.0
    position = 0
    stripped = text.strip()
    while position < len(stripped) or not stripped:
        part = _PART.match(stripped, position)
        if not part:
            raise ValueError("{!r} is no duration like '5m' or '1h 30m'".format(text))
        unit = part.group("unit")
        if part.group("factor"):
            factor *= float(part.group("factor"))
        elif unit in _SECONDS:
            total += float(part.group("count")) * _SECONDS[unit]
        else:
            message = "duration {!r}: unknown unit {!r}, known are s, m, h and d"
            raise ValueError(message.format(text, unit))
        position = part.end()
    seconds = total * factor
    if not seconds <= LONGEST:
        raise ValueError("duration {!r} is longer than 100 years".format(text))
    return math.ceil(seconds)
