"""How long a test may take: the duration grammar of tmt.

    duration = part {part}
    part     = count [unit]     a term: they are added up
             | "*" factor       a factor: the sum is multiplied by each
    unit     = "s" | "m" | "h" | "d", seconds where there is none

Parts may stand in any order, with or without white space around them. The grammar, and that the
product is rounded up, are those of tmt 1.78 (`duration_to_seconds`), which refuses only white space
at the beginning; but `duration+: " *2"` makes just that where there is nothing to inherit.
"""

import math
import re

from .errors import MetadataError

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 60 * 60, "d": 24 * 60 * 60}

# Every digit belongs to the part it stands in (possessive quantifiers), so that `10w` is not
# taken for `1` and a rest.
_PARTS = re.compile(
    r"""(?: (?P<count> [0-9]++ ) \s*+ (?P<unit> [smhd]? )
          | \* \s*+ (?P<factor> [0-9]++ (?: \. [0-9]++ )? )
        ) \s*+""",
    re.VERBOSE,
)


def parse_duration(text: str, *, base: float = 0.0) -> float:
    """Seconds that `text` stands for, a whole number: `1h 30m` is 5400.0, `10m *1.5` is 900.0.

    `base` (seconds) takes the place of terms that add up to nothing. Metadata that only multiplies
    what it inherits (`duration+: " *2"`) becomes `*2` where there was nothing to inherit, and
    means twice the default.

    Raises MetadataError for anything outside the grammar, and beyond what a float can hold.
    """
    stripped = text.strip()
    parts = list(_PARTS.finditer(stripped))
    if not parts or "".join(part[0] for part in parts) != stripped:
        raise _invalid(text)
    try:
        total = sum(int(part["count"]) * _SECONDS[part["unit"]] for part in parts if part["count"])
        product = math.prod(float(part["factor"]) for part in parts if part["factor"])
        return float(math.ceil((total or base) * product))
    except (OverflowError, ValueError) as error:  # too large for an int, a float or a product
        raise _invalid(text) from error


def _invalid(text: str) -> MetadataError:
    shown = text if len(text) <= 50 else f"{text[:50]}..."
    return MetadataError(
        f"duration {shown!r} is invalid: write numbers with s, m, h or d, like '1h 30m', "
        "and factors like '*1.5'",
        path=("duration",),
    )
