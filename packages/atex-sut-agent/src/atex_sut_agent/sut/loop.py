"""The one loop of the daemon: descriptors and timers call functions. Single-threaded."""

import heapq
import math
import select

from .clock import now

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable

READ = select.POLLIN
WRITE = select.POLLOUT
GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL  # always reported, asked for or not


class Timer:
    """A call that is due once; `cancel()` takes it back, any number of times."""

    def __init__(self, when: float, callback: "Callable[[], None]") -> None:
        self.when = when
        self.callback: "Callable[[], None] | None" = callback

    def cancel(self) -> None:
        self.callback = None

    def __lt__(self, other: "Timer") -> bool:
        return self.when < other.when


class Loop:
    """Waits for descriptors and timers and calls what was registered for them."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._callbacks: "dict[int, Callable[[int], object]]" = {}
        self._timers: "list[Timer]" = []

    def watch(self, fd: int, events: int, callback: "Callable[[int], object]") -> None:
        """Call `callback(mask)` when one of `events` (or GONE) is true for `fd`; again for other events."""
        self._callbacks[fd] = callback
        self._poll.register(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching `fd`, if it is watched. Call this before closing it."""
        if self._callbacks.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def after(self, seconds: float, callback: "Callable[[], None]") -> Timer:
        """Call `callback()` once, `seconds` from now; return its Timer."""
        timer = Timer(now() + seconds, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def turn(self) -> None:
        """Wait until something is due, and do all that is due then."""
        ready = self._poll.poll(self._milliseconds_to_wait())
        # A callback may close one of these descriptors, and the next open reuse its number.
        due = [(fd, mask, self._callbacks.get(fd)) for fd, mask in ready]
        for fd, mask, callback in due:
            if callback is not None and self._callbacks.get(fd) is callback:
                callback(mask)
        present = now()
        while self._timers and self._timers[0].when <= present:
            overdue = heapq.heappop(self._timers).callback
            if overdue is not None:
                overdue()

    def _milliseconds_to_wait(self) -> "int | None":
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0, math.ceil((self._timers[0].when - now()) * 1000))
