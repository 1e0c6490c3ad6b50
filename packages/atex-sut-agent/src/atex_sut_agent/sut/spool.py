"""Frames on the machine's disk: first in, first out. Never synced, and nobody but this process ever reads them."""

import os

from .framing import HEADER

PIECE = 256 * 1024  # bytes read at once; more where a single frame is longer


class Spool:
    """At most `limit` bytes of whole frames, in a file without a name on the disk of `folder`.

    What has been taken out makes room only when the last one is: the file is cut back to nothing then.
    """

    def __init__(self, folder: str, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._fd = -1
        self._begin = 0  # where the oldest frame is
        self._end = 0
        self._refused = False  # the disk takes no more

    @property
    def size(self) -> int:
        """How many bytes wait."""
        return self._end - self._begin

    @property
    def full(self) -> bool:
        """Would it take no frame, however small?"""
        return self._refused or self._end >= self._limit

    def put(self, frame: bytes) -> bool:
        """Put a frame behind all others; return whether there was room for it."""
        if self.full:
            return False
        try:
            if self._fd < 0:
                self._fd = _nameless_file(self._folder)
            rest, end = memoryview(frame), self._end
            while rest:
                written = os.pwrite(self._fd, rest, end)
                rest, end = rest[written:], end + written
        except OSError:  # ENOSPC, or a test has removed the folder
            self._refused = True
            return False
        self._end = end
        return True

    def take(self, size: int) -> "list[tuple[int, bytes]]":
        """Take out the oldest frames, about `size` bytes but one at least, as (number, frame).

        Raises OSError where they can not be read again.
        """
        taken: "list[tuple[int, bytes]]" = []
        while size > 0 and self.size:
            piece = self._read(min(PIECE, self.size))
            position = 0
            while size > 0 and len(piece) - position >= HEADER.size:
                head_size, tail_size, number = HEADER.unpack_from(piece, position)
                end = position + HEADER.size + head_size + tail_size
                if end > len(piece):
                    if position:
                        break
                    piece = self._read(end)  # it is longer than a piece
                taken.append((number, piece[position:end]))
                size -= end - position
                position = end
            self._begin += position
        if not self.size:
            self._clear()
        return taken

    def _read(self, size: int) -> bytes:
        piece = os.pread(self._fd, size, self._begin)
        if len(piece) < size:
            raise OSError("the spool is shorter than what was written to it")
        return piece

    def _clear(self) -> None:
        self._begin = self._end = 0
        self._refused = False
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _nameless_file(folder: str) -> int:
    path = os.path.join(folder, "spool.{}".format(os.urandom(8).hex()))
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    os.unlink(path)
    return fd
