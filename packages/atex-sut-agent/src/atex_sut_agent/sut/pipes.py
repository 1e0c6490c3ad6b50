"""Pipes between a test and the daemon."""

import fcntl
import os
import struct
import termios

_SIZE = 1024 * 1024  # bytes, asked for; the kernel may give less
_F_SETPIPE_SZ = 1031  # has no name in Python 3.6


def new_pipe() -> "tuple[int, int]":
    """Return (read end, write end) of a pipe that is large and does not block its reader. Raises OSError."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    enlarge(writer)
    return reader, writer


def enlarge(fd: int) -> None:
    """Let a pipe hold more than its 64 KiB, so that who reads and who writes wake each other less often."""
    try:
        fcntl.fcntl(fd, _F_SETPIPE_SZ, _SIZE)
    except OSError:
        pass  # beyond the user's quota of pipe memory, or no pipe: slower, not wrong


def bytes_waiting(fd: int) -> int:
    """Return how many bytes can be read from a pipe or socket now."""
    waiting = fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4)
    return int(struct.unpack("i", waiting)[0])


def read_all(fd: int) -> bytes:
    """Read to the end of file, however long that takes."""
    chunks: "list[bytes]" = []
    while True:
        chunk = os.read(fd, 65536)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
