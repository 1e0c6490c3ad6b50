"""Frames that count, from the moment they are made until the host says that it has applied them."""

from collections import deque

from .framing import pack

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from typing import Any


class Outbox:
    """Numbers frames, keeps those that are not acknowledged, hands out what is to be sent next.

    It is full from `limit` bytes on: then the test has to wait.

    The frames that an attachment has sent stay until `acknowledge()`; `rewind()` starts over with the first of
    them, for the next attachment.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._unsent: "deque[tuple[int, bytes]]" = deque()  # (number, frame), oldest first
        self._sent: "deque[tuple[int, bytes]]" = deque()  # to the present attachment, all older
        self._size = 0
        self.next_number = 1
        self.acknowledged = 0  # the highest number that was

    def add(self, head: "dict[str, Any]", tail: bytes = b"") -> int:
        """Number a frame and keep it; return the number."""
        frame = pack(self.next_number, head, tail)
        self._unsent.append((self.next_number, frame))
        self._size += len(frame)
        self.next_number += 1
        return self.next_number - 1

    def acknowledge(self, number: int) -> None:
        """Forget all frames up to `number`, which the host has applied."""
        self.acknowledged = max(self.acknowledged, number)
        for frames in (self._sent, self._unsent):  # unsent: applied over an earlier attachment
            while frames and frames[0][0] <= number:
                self._size -= len(frames.popleft()[1])

    def rewind(self) -> None:
        """Begin again with the oldest frame that is kept."""
        self._sent.extend(self._unsent)
        self._sent, self._unsent = deque(), self._sent

    def take(self, size: int) -> bytes:
        """Return the next frames to send, joined: about `size` bytes, b"" where nothing waits."""
        taken: "list[bytes]" = []
        while self._unsent and size > 0:
            entry = self._unsent.popleft()
            self._sent.append(entry)
            taken.append(entry[1])
            size -= len(entry[1])
        return b"".join(taken)

    @property
    def full(self) -> bool:
        """Is so much unacknowledged that the test has to wait?"""
        return self._size >= self._limit
