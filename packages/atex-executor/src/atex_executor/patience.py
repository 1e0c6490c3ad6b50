"""When to try a lost connection again, and when to stop trying. Pure: the caller brings the time."""

_FIRST_DELAY = 1.0  # seconds
_LONGEST_DELAY = 30.0  # seconds
_LONGEST_DELAY_IF_EXPECTED = 5.0  # seconds, for who is sure to come


class Patience:
    """Counts one loss after the other; all times are seconds of one clock.

    The first try after a connection that was good for something comes at once, then they wait 1, 2, 4 ... 30 seconds.
    A connection that is lost before it was good for anything is the same loss going on.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._lost_at: float | None = None
        self._delay = 0.0

    @property
    def counting(self) -> bool:
        """Is the connection gone?"""
        return self._lost_at is not None

    def lost(self, now: float) -> None:
        """The connection is gone."""
        if self._lost_at is None:
            self._lost_at = now
            self._delay = 0.0

    def progress(self) -> None:
        """The connection is there, and something came over it."""
        self._lost_at = None

    def next_try(self, now: float, expected_by: float | None = None) -> float | None:
        """Return after how many seconds to try again, None if that is not worth it any more.

        Who is `expected_by` some moment, sooner or later than the patience ends, is tried until then, and more often.
        """
        if self._lost_at is None:
            return 0.0
        longest, until = _LONGEST_DELAY, self._lost_at + self.seconds
        if expected_by is not None:
            longest, until = _LONGEST_DELAY_IF_EXPECTED, expected_by
        delay = min(self._delay, longest)
        self._delay = min(max(_FIRST_DELAY, delay * 2), longest)
        if now >= until:
            return None
        return min(delay, until - now)
