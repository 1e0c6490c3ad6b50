"""Frames that count, from the moment they are made until the host says that it has applied them."""

from collections import deque

from .framing import pack

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from typing import Any

LIMIT = 4 * 1024 * 1024  # bytes that may wait unacknowledged before the test has to wait


class Outbox:
    """Numbers frames, keeps those that are not acknowledged, hands out what is to be sent next.

    The frames that an attachment has sent stay until `acknowledge()`; `rewind()` starts over with the first of
    them, for the next attachment.
    """

    def __init__(self) -> None:
        self._frames: "deque[tuple[int, bytes]]" = deque()  # (number, bytes), oldest first
        self._sent = 0  # how many of them the present attachment has taken
        self._size = 0
        self.next_number = 1

    def add(self, head: "dict[str, Any]", tail: bytes = b"") -> None:
        """Number a frame and keep it."""
        frame = pack(self.next_number, head, tail)
        self._frames.append((self.next_number, frame))
        self._size += len(frame)
        self.next_number += 1

    def acknowledge(self, number: int) -> None:
        """Forget all frames up to `number`, which the host has applied."""
        frames = self._frames
        while frames and frames[0][0] <= number:
            self._size -= len(frames.popleft()[1])
            self._sent = max(0, self._sent - 1)

    def rewind(self) -> None:
        """Begin again with the oldest frame that is kept."""
        self._sent = 0

    def take(self, size: int) -> bytes:
        """Return the next frames to send, joined: about `size` bytes, b"" where nothing waits."""
        taken = []
        for index in range(self._sent, len(self._frames)):
            frame = self._frames[index][1]
            taken.append(frame)
            size -= len(frame)
            if size <= 0:
                break
        self._sent += len(taken)
        return b"".join(taken)

    @property
    def pending(self) -> bool:
        """Is there a frame that the present attachment has not taken?"""
        return self._sent < len(self._frames)

    @property
    def full(self) -> bool:
        """Is so much unacknowledged that the test has to wait?"""
        return self._size >= LIMIT
