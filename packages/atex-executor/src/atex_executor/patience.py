"""When to try a lost connection again, and when to stop trying. Pure: the caller brings the time."""

_FIRST_DELAY = 1.0  # seconds
_LONGEST_DELAY = 30.0  # seconds


class Patience:
    """Counts one loss after the other; all times are seconds of one clock.

    The first try after a connection that was good for something comes at once, then they wait 1, 2, 4 ... 30 seconds.
    A connection that is lost before it was good for anything is the same loss going on.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._lost_at: float | None = None
        self._delay = 0.0

    def lost(self, now: float) -> None:
        """The connection is gone."""
        if self._lost_at is None:
            self._lost_at = now
            self._delay = 0.0

    def progress(self) -> None:
        """The connection is there, and something came over it."""
        self._lost_at = None

    def next_try(self, now: float) -> float | None:
        """Return after how many seconds to try again, None if that is not worth it any more."""
        if self._lost_at is None:
            return 0.0
        delay = self._delay
        self._delay = min(max(_FIRST_DELAY, delay * 2), _LONGEST_DELAY)
        left = self._lost_at + self.seconds - now
        if left <= 0:
            return None
        return min(delay, left)
