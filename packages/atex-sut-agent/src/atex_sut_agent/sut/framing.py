"""Frames: how messages follow each other on the byte stream between the host and the agent. No I/O.

    head length u32 | tail length u32 | number u64 | head | tail           (big endian)

The head is a JSON object whose `kind` says what the frame is (docs/protocol.md lists them), the tail is raw
bytes whose meaning the kind knows. A number above 0 makes a frame one that counts: the agent's are acknowledged
and replayed, the host's are orders. 0 is for what is only of use now.

Used by both ends.
"""

import json
import struct

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MAGIC = b"\x00\xffATEX agent 1\r\n"  # what the agent says first; all before it is a login's noise
PROTOCOL = 1

HEADER = struct.Struct(">IIQ")
MAX_HEAD = 4 * 1024 * 1024  # bytes
MAX_TAIL = 2 * 1024 * 1024  # bytes
MAX_CHUNK = 256 * 1024  # bytes of a file or of the output in one frame

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class FrameError(Exception):
    """The stream is not frames, or one of them is larger than allowed. It can not be read any further."""


def pack(number: int, head: "bytes | dict[str, Any]", tail: bytes = b"") -> bytes:
    """Return the bytes of one frame; `head` is a dict for JSON, or bytes that are JSON already."""
    if not isinstance(head, bytes):
        head = _encode(head).encode("utf-8", "surrogateescape")
    return b"".join((HEADER.pack(len(head), len(tail), number), head, tail))


class FrameReader:
    """Cuts a byte stream, fed in pieces of any size, into frames.

    Holds at most one unfinished frame, so its memory is bounded by MAX_HEAD + MAX_TAIL and one piece.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> "Iterator[tuple[int, bytes, bytes]]":
        """Yield `(number, head, tail)` (int, bytes, bytes) for each frame that `data` completes.

        Raises FrameError as soon as a header announces more than the limits.
        """
        buffer = self._buffer
        buffer += data
        position = 0
        try:
            while len(buffer) - position >= HEADER.size:
                head_size, tail_size, number = HEADER.unpack_from(buffer, position)
                if head_size > MAX_HEAD or tail_size > MAX_TAIL:
                    raise FrameError(
                        "a frame announces {} + {} bytes, allowed are {} + {}".format(
                            head_size, tail_size, MAX_HEAD, MAX_TAIL
                        )
                    )
                head_at = position + HEADER.size
                tail_at = head_at + head_size
                end = tail_at + tail_size
                if len(buffer) < end:
                    break
                position = end
                yield number, bytes(buffer[head_at:tail_at]), bytes(buffer[tail_at:end])
        finally:
            del buffer[:position]
