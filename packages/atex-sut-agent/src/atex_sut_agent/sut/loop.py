"""The one loop of the daemon: descriptors and timers call functions. Single-threaded."""

import math
import select

from .clock import now

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable

READ = select.POLLIN
WRITE = select.POLLOUT

_LONGEST_WAIT = (
    15.0  # seconds; poll(2) does not count the time that a machine is suspended, timers do
)


class Timer:
    """A call that is due once; `cancel()` takes it back, any number of times."""

    def __init__(self, timers: "set[Timer]", when: float, callback: "Callable[[], object]") -> None:
        self.when = when
        self._callback = callback
        self._timers = timers
        timers.add(self)

    def cancel(self) -> None:
        self._timers.discard(self)

    def fire(self) -> None:
        """Make the call, if it was not taken back."""
        if self in self._timers:
            self._timers.remove(self)
            self._callback()


class Loop:
    """Waits for descriptors and timers and calls what was registered for them."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._callbacks: "dict[int, Callable[[int], object]]" = {}
        self._timers: "set[Timer]" = set()  # a handful

    def watch(self, fd: int, events: int, callback: "Callable[[int], object]") -> None:
        """Call `callback(mask)` when one of `events` is true for `fd`; call this again for other events.

        Errors and hang-ups are told as well, asked for or not (poll(2)).
        """
        self._callbacks[fd] = callback
        self._poll.register(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching `fd`, if it is watched. Call this before closing it."""
        if self._callbacks.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def after(self, seconds: float, callback: "Callable[[], object]") -> Timer:
        """Call `callback()` once, `seconds` from now; return its Timer."""
        return Timer(self._timers, now() + seconds, callback)

    def turn(self) -> None:
        """Wait until something is due, and do all that is due then."""
        ready = self._poll.poll(self._milliseconds_to_wait())
        # A callback may close one of these descriptors, and the next open reuse its number.
        due = [(fd, mask, self._callbacks.get(fd)) for fd, mask in ready]
        for fd, mask, callback in due:
            if callback is not None and self._callbacks.get(fd) is callback:
                callback(mask)
        present = now()
        for timer in sorted(self._timers, key=_when):
            if timer.when <= present:
                timer.fire()

    def _milliseconds_to_wait(self) -> int:
        seconds = _LONGEST_WAIT
        if self._timers:
            seconds = min(seconds, min(self._timers, key=_when).when - now())
        return max(0, math.ceil(seconds * 1000))


def _when(timer: Timer) -> float:
    return timer.when
