"""Time as a run counts it: CLOCK_BOOTTIME, which also runs while the machine is suspended."""

import time

_BOOTTIME = 7  # has no name in Python 3.6


def now() -> float:
    """Return seconds since boot."""
    return time.clock_gettime(_BOOTTIME)


class Limit:
    """How long a run may last. All values are seconds; the present is handed in, so that it can be tested."""

    def __init__(self, started: float, limit: float) -> None:
        self.started = started
        self.limit = limit

    @property
    def deadline(self) -> float:
        """When the run's time is up, on the clock of `now()`."""
        return self.started + self.limit

    def set(self, limit: float, present: float) -> None:
        """A new limit, counted from `present`."""
        self.started = present
        self.limit = limit

    def move(self, seconds: float) -> None:
        """The limit grows, or shrinks to 0 at most where `seconds` is negative; the time already used stays used."""
        self.limit = max(0.0, self.limit + seconds)
