"""Those who want to know what happens in a run: callables, and readers in threads of their own.

Guarantees: each gets every event from its first on, once and in order. Readers never hold the run up, a listener does
as long as it takes. `_lock` guards the collections and is not held while anybody is called.
"""

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from weakref import WeakSet

from atex_orchestrator.events import Event, Listener

_Queue = SimpleQueue[Event | None]  # None: nothing follows


class Listeners:
    """Hands events on. One thread tells; any may come to listen."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._lock = threading.Lock()
        self._callables: tuple[Listener, ...] = ()
        self._queues: WeakSet[_Queue] = WeakSet()  # a reader that was let go of keeps nothing
        self._closed = False

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` with each event, after those that came before it."""
        with self._lock:
            self._callables = (*self._callables, listener)

    def events(self) -> Iterator[Event]:
        """Return an iterator over the events from now on, until close()."""
        queue: _Queue = SimpleQueue()
        with self._lock:
            if self._closed:
                queue.put(None)
            self._queues.add(queue)
        return iter(queue.get, None)

    def tell(self, event: Event) -> None:
        """Hand an event to everybody. Raises afterwards what the first listener that broke raised."""
        with self._lock:
            callables, queues = self._callables, tuple(self._queues)
        for queue in queues:
            queue.put(event)
        broken: Exception | None = None
        for listener in callables:
            try:
                listener(event)
            except Exception as error:
                broken = broken or error
        if broken is not None:
            raise broken

    def close(self) -> None:
        """End all iterators, when they have given what there was."""
        with self._lock:
            self._closed = True
            queues = tuple(self._queues)
        for queue in queues:
            queue.put(None)
