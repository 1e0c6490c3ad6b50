"""The one loop of the daemon: descriptors and timers call functions. Single-threaded."""

import heapq
import math
import select

from .clock import now

READ = select.POLLIN
WRITE = select.POLLOUT
GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL  # always reported, asked for or not


class Timer:
    """A call that is due once; `cancel()` takes it back, any number of times."""

    def __init__(self, when, callback):
        self.when = when
        self.callback = callback

    def cancel(self):
        self.callback = None

    def __lt__(self, other):
        return self.when < other.when


class Loop:
    """Waits for descriptors and timers and calls what was registered for them."""

    def __init__(self):
        self._poll = select.poll()
        self._callbacks = {}
        self._timers = []

    def watch(self, fd, events, callback):
        """Call `callback(mask)` when one of `events` (or GONE) is true for `fd`; again for other events."""
        self._callbacks[fd] = callback
        self._poll.register(fd, events)

    def forget(self, fd):
        """Stop watching `fd`, if it is watched. Call this before closing it."""
        if self._callbacks.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def after(self, seconds, callback):
        """Call `callback()` once, `seconds` from now; return its Timer."""
        timer = Timer(now() + seconds, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def turn(self):
        """Wait until something is due, and do all that is due then."""
        ready = self._poll.poll(self._milliseconds_to_wait())
        # A callback may close one of these descriptors, and the next open reuse its number.
        due = [(fd, mask, self._callbacks.get(fd)) for fd, mask in ready]
        for fd, mask, callback in due:
            if callback is not None and self._callbacks.get(fd) is callback:
                callback(mask)
        present = now()
        while self._timers and self._timers[0].when <= present:
            callback = heapq.heappop(self._timers).callback
            if callback is not None:
                callback()

    def _milliseconds_to_wait(self):
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0, math.ceil((self._timers[0].when - now()) * 1000))
