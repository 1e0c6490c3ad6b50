"""Time as a run counts it: CLOCK_BOOTTIME, which also runs while the machine is suspended."""

import time

from .durations import LONGEST

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from typing import Any

_BOOTTIME = 7  # has no name in Python 3.6
_MAX_SAVED = 256  # `duration save` without its `restore`


def now() -> float:
    """Return seconds since boot."""
    return time.clock_gettime(_BOOTTIME)


class Limit:
    """How long a run may last, and how much of that it has used. Pure: the present is handed in.

    All values are seconds, the present by the clock of `now()`. What `duration` does to it is in spec/CONTROL_FILE.md.
    """

    def __init__(self, limit: float, present: float) -> None:
        self.limit = limit
        self._used = 0.0  # up to _since
        self._since: "float | None" = present  # None: it stands still
        self._saved: "list[tuple[float, float]]" = []  # (used, limit) at each `save`, the oldest first

    @classmethod
    def continued(cls, clock: "dict[str, Any]", present: float) -> "Limit":
        """Return the limit of a run that goes on where its `clock()` was, or the host has put it since."""
        limit = cls(clock["limit"], present)
        limit._used = clock["used"]
        limit._saved = [(used, saved) for used, saved in clock.get("saved", ())]
        return limit

    def clock(self, present: float) -> "dict[str, Any]":
        """Return how it stands, as the protocol has it (`Clock`)."""
        return {"used": self.used(present), "limit": self.limit, "saved": list(self._saved)}

    def used(self, present: float) -> float:
        """Seconds that the run has used."""
        return self._used if self._since is None else self._used + (present - self._since)

    def left(self, present: float) -> float:
        """Seconds until its time is up, below 0 where it was already."""
        return self.limit - self.used(present)

    # The words -------------------------------------------------------------------------------------------

    def set(self, limit: float, present: float) -> None:
        """A new limit, counted from `present`."""
        self.limit = limit
        self.refresh(present)

    def move(self, seconds: float) -> None:
        """The limit grows, or shrinks to 0 at most where `seconds` is negative; the time already used stays used."""
        self.limit = min(max(0.0, self.limit + seconds), float(LONGEST))

    def refresh(self, present: float) -> None:
        """The time used becomes 0, the limit stays."""
        self._put(0.0, present)

    def save(self, present: float) -> None:
        """Note what is left. Raises ValueError where so much is noted already that it can only be a mistake."""
        if len(self._saved) == _MAX_SAVED:
            raise ValueError("{} times 'duration save' without 'restore'".format(_MAX_SAVED))
        self._saved.append((self.used(present), self.limit))

    def restore(self, present: float) -> None:
        """Put back what was left at the matching `save`, and its limit. Raises ValueError where there was none."""
        if not self._saved:
            raise ValueError("'duration restore' without 'duration save'")
        used, self.limit = self._saved.pop()
        self._put(used, present)

    def _put(self, used: float, present: float) -> None:
        self._used = used
        if self._since is not None:
            self._since = present

    # Standing still --------------------------------------------------------------------------------------

    @property
    def stands_still(self) -> bool:
        """Has it been told to `stop()`?"""
        return self._since is None

    def stop(self, present: float) -> None:
        """No time is used from now on. Again, it does nothing."""
        if self._since is not None:
            self._used = self.used(present)
            self._since = None

    def go_on(self, present: float) -> None:
        """Time is used again."""
        if self._since is None:
            self._since = present
