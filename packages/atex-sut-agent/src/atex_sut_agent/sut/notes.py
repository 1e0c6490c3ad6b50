"""Small files of ours in a session's folder, read by whoever comes next.

A test has the same rights as we, and may have put anything in their place. So nothing here follows a link, waits for
the other end of a FIFO or reads more than was asked for; what is read is to be checked by its reader.
"""

import errno
import os
import stat

from .opening import SAFELY


def read(path: str, longest: int) -> bytes:
    """Return the first `longest` bytes of a note. Raises OSError where there is none."""
    fd = os.open(path, os.O_RDONLY | SAFELY)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "is no plain file", path)
        return os.read(fd, longest)
    finally:
        os.close(fd)


def write(path: str, note: bytes) -> None:
    """Leave a note in the place of what is there, unless that is a folder. Raises OSError."""
    remove(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFELY, 0o600)
    try:
        os.write(fd, note)
    finally:
        os.close(fd)


def remove(path: str) -> None:
    """Take a note away, if it is there and that is possible."""
    try:
        os.unlink(path)
    except OSError:
        pass
