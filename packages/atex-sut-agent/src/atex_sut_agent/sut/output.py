"""Where a test's stdout and stderr go: a pipe, or a terminal for a test that asks for one."""

import fcntl
import os
import struct
import termios

from .framing import MAX_CHUNK
from .pipes import bytes_waiting, new_pipe

_SIZE = struct.pack("HHHH", 24, 80, 0, 0)  # rows, columns (ioctl_tty(2), TIOCSWINSZ)

# More than a terminal keeps for a slow reader. FIONREAD does not count what is still on its way, reading waits for it.
_LARGEST_BACKLOG = 256 * 1024

# A session's leader gets the first terminal that it opens for its own: no Python has to run in the child for that.
_TAKE_IT = 'exec <>"$0" >&0 2>&0 && exec "$@"'


class OutputPipe:
    """A pipe. The test's stdin stays ours, /dev/null. Raises OSError."""

    def __init__(self) -> None:
        self.reader, self.writer = self._open()

    def _open(self) -> "tuple[int, int]":
        return new_pipe()

    def command(self, argv: "list[str]") -> "list[str]":
        """Return what is to be started in the place of `argv`, to lead a session and with `writer` as its stdout."""
        return argv

    def handed_over(self) -> None:
        """The test has its end now."""
        self._close_writer()

    def read(self) -> "bytes | None":
        """Return the next bytes; None where there are none now, b"" when everybody else has closed it."""
        try:
            return os.read(self.reader, MAX_CHUNK)
        except BlockingIOError:
            return None

    def backlog(self) -> int:
        """Return at most how many bytes there are to be read at this moment."""
        return bytes_waiting(self.reader)

    def close(self) -> None:
        """Close both ends."""
        os.close(self.reader)
        self._close_writer()

    def _close_writer(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1


class Terminal(OutputPipe):
    """A terminal of 80x24, which becomes the test's controlling one; its stdin, too.

    We keep the test's end open as well: else there was an end of file for each time that nobody has it open, and a
    test may open /dev/tty any time.
    """

    def _open(self) -> "tuple[int, int]":
        ours, theirs = os.openpty()
        os.set_blocking(ours, False)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, _SIZE)
        return ours, theirs

    def command(self, argv: "list[str]") -> "list[str]":
        return ["/bin/sh", "-c", _TAKE_IT, os.ttyname(self.writer), *argv]

    def handed_over(self) -> None:
        pass

    def backlog(self) -> int:
        return _LARGEST_BACKLOG
