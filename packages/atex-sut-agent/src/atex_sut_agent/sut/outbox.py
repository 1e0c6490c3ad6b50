"""Frames that count, from the moment they are made until the host says that it has applied them.

In the order in which they were made: in memory those that were sent or are about to be; behind them, where no host
takes any, those in the spool; behind these, where that takes no more, the last words of a run, in memory again.
"""

from collections import deque

from .framing import pack
from .spool import PIECE, Spool

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from typing import Any

_COST = 160  # bytes that Python needs to keep a frame, besides the frame itself


class Outbox:
    """Numbers frames, keeps those that are not acknowledged, hands out what is to be sent next.

    The frames that an attachment has sent stay until `acknowledge()`; `rewind()` starts over with the first of
    them, for the next attachment. About `limit` bytes are kept in memory.
    """

    def __init__(self, limit: int, spool: Spool) -> None:
        self.next_number = 1
        self.acknowledged = 0  # the highest number that was
        self.spooling = (
            False  # nobody takes anything: what is too much for the memory may go to the spool
        )
        self._limit = limit
        self._sent: "deque[tuple[int, bytes]]" = (
            deque()
        )  # (number, frame), to the present attachment
        self._unsent: "deque[tuple[int, bytes]]" = deque()
        self._size = 0  # of both
        self._spool = spool
        self._rest: "deque[tuple[int, bytes]]" = deque()  # behind the spool

    def add(self, head: "dict[str, Any]", tail: bytes = b"") -> int:
        """Number a frame and keep it; return the number."""
        number = self.next_number
        frame = pack(number, head, tail)
        self.next_number += 1
        if self._rest or self._spool.size or self._size >= self._most_in_memory:
            if self._rest or not self._spool.put(frame):
                self._rest.append((number, frame))
        else:
            self._unsent.append((number, frame))
            self._size += len(frame) + _COST
        return number

    def acknowledge(self, number: int) -> None:
        """Forget all frames up to `number`, which the host has applied."""
        self.acknowledged = max(self.acknowledged, number)
        for frames in (self._sent, self._unsent):  # unsent: applied over an earlier attachment
            while frames and frames[0][0] <= number:
                self._size -= len(frames.popleft()[1]) + _COST

    def rewind(self) -> None:
        """Begin again with the oldest frame that is kept."""
        self._sent.extend(self._unsent)
        self._sent, self._unsent = deque(), self._sent

    def take(self, size: int) -> bytes:
        """Return the next frames to send, joined: about `size` bytes, b"" where nothing waits, or too much was sent."""
        if not self._unsent:
            self._load()
        taken: "list[bytes]" = []
        while self._unsent and size > 0:
            entry = self._unsent.popleft()
            self._sent.append(entry)
            taken.append(entry[1])
            size -= len(entry[1])
        return b"".join(taken)

    @property
    def full(self) -> bool:
        """Has the test to wait?"""
        if self.spooling and not self._spool.full:
            return False
        return bool(self._rest) or self._size + self._spool.size >= self._limit

    @property
    def _most_in_memory(self) -> int:
        # A test that waits may still end, and then all is taken that is in its pipes and sockets.
        return self._limit if self.spooling else 2 * self._limit

    def _load(self) -> None:
        """Fill the memory from what is behind it. Frames are sent from there only, so nothing else has to rewind."""
        while self._size < self._limit and (self._spool.size or self._rest):
            if self._spool.size:
                loaded = self._spool.take(min(PIECE, self._limit - self._size))
            else:
                loaded = [self._rest.popleft()]
            self._unsent.extend(loaded)
            self._size += sum(len(frame) + _COST for _, frame in loaded)
