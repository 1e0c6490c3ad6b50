"""How much of what is unfinished the clients of the control file may hold in memory."""

from .client import Client
from .control import MAX_INLINE, MAX_LINE
from .framing import MAX_CHUNK

MAX_HELD = 4 * 1024 * 1024  # bytes, of all clients together
_LARGEST = MAX_INLINE + MAX_CHUNK  # bytes that one may come to hold


class Shares:
    """Who may read how much, so that all clients together hold no more than MAX_HELD.

    Each may hold a control line, and of the rest it gets what there is. One, the favoured, always gets what it needs,
    and keeps that until it is through. The others are hungry then: they wait unread, who came first goes first; but
    what passes through is read at any time: words, small results, the bytes of files.
    """

    def __init__(self) -> None:
        self._held: "dict[Client, int]" = {}  # bytes of each, as they were counted last
        self._total = 0  # of these
        self._hungry: "dict[Client, None]" = {}
        self._favoured: "Client | None" = None

    def portion(self, client: Client) -> int:
        """Return how many bytes may be read from this client now. With 0 it is hungry, until `count()` returns it."""
        passes = client.door.passes
        if client is not self._favoured and self._room < MAX_CHUNK:
            if passes:
                return min(passes, MAX_CHUNK)
            if self._favoured is not None:
                self._hungry[client] = None
                return 0
            self._favoured = client
        return MAX_CHUNK

    def is_hungry(self, client: Client) -> bool:
        """Does it wait for its portion?"""
        return client in self._hungry

    def count(self, client: Client) -> "list[Client]":
        """Note what this client, new or known, holds now; return those who were hungry and get something now."""
        held = client.door.held
        self._total += held - self._held.get(client, 0)
        self._held[client] = held
        if client is self._favoured and held <= MAX_LINE:
            self._favoured = None
        return self._feed_hungry() if self._hungry else []

    def remove(self, client: Client) -> "list[Client]":
        """It is closed; return what `count()` does."""
        self._total -= self._held.pop(client, 0)
        self._hungry.pop(client, None)
        if client is self._favoured:
            self._favoured = None
        return self._feed_hungry() if self._hungry else []

    def _feed_hungry(self) -> "list[Client]":
        number = max(self._room // MAX_CHUNK, int(self._favoured is None))
        fed = list(self._hungry)[:number] if number > 0 else []
        for client in fed:
            del self._hungry[client]
            if self._favoured is None:
                self._favoured = client
        return fed

    @property
    def _room(self) -> int:
        """How much more may be held, beside a control line of each client and all that the favoured needs."""
        return MAX_HELD - _LARGEST - MAX_LINE * len(self._held) - self._total
