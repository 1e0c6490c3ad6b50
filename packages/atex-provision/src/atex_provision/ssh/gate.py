"""Lets a few through at a time, in the order in which they came."""

import threading
from collections import deque


class Gate:
    """A number of places. `_lock` guards all the rest; nobody waits with it, nobody looks now and then."""

    def __init__(self, places: int) -> None:
        self._lock = threading.Lock()
        self._free = places
        self._queue: deque[threading.Event] = deque()

    def enter(self, turn: threading.Event) -> bool:
        """Waits for a place, which leave() gives back; False without one, if another thread has set `turn`.

        `turn` is for this call alone.
        """
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            self._queue.append(turn)
        turn.wait()
        with self._lock:
            if turn in self._queue:
                self._queue.remove(turn)
                return False
            return True

    def leave(self) -> None:
        """Hands the place to who waits longest."""
        with self._lock:
            if self._queue:
                self._queue.popleft().set()
            else:
                self._free += 1
