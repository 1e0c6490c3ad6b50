"""Moments and ages, in words."""

import time

_UNITS = (("d", 24 * 3600), ("h", 3600), ("min", 60))


def moment(seconds: float) -> str:
    """Return a moment, in seconds since the epoch, as local time: `2026-11-21 20:31`.

    One that no calendar has, as a file may say it, is `@1e+20`.
    """
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"@{seconds:g}"


def age(seconds: float) -> str:
    """Return how long something lasts or lasted, in the largest unit that fits: `3 d`, `2 h`, `17 min`, `5 s`."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
