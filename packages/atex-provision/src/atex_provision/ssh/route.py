"""What the ways to an ssh server have in common: they are gone once, and another thread can cancel them at any moment.

`Route._lock` guards `_cancelled` and `_socket`.
"""

import contextlib
import threading
from abc import ABC, abstractmethod
from socket import SHUT_RDWR

from atex_provision.errors import CannotConnect
from atex_provision.ssh.config import Target
from atex_provision.ssh.transport import Stream


class Route(ABC):
    """The way to one target. Each of its steps may take `timeout` seconds."""

    sees_far_end = False
    """Whether a send() or recv() fails within a minute after the target has vanished."""

    def __init__(self, target: Target, timeout: float) -> None:
        self._target = target
        self._timeout = timeout
        self._lock = threading.Lock()
        self._cancelled = False
        self._socket: Stream | None = None

    def approach(self) -> None:
        """Does what can be done before it is this target's turn. Raises CannotConnect."""
        self.check()

    @abstractmethod
    def connect(self) -> Stream:
        """A stream to the target's ssh server. Raises CannotConnect or one of its subclasses."""

    def cancel(self) -> None:
        """Ends approach() and connect(), and any use of the stream. Any thread, any time; total."""
        with self._lock:
            self._cancelled = True
            sock = self._socket
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(SHUT_RDWR)

    def check(self) -> None:
        """Raises CannotConnect if it was cancelled."""
        with self._lock:
            cancelled = self._cancelled
        if cancelled:
            raise self.cancelled()

    def cancelled(self) -> CannotConnect:
        """The error for who was cancelled."""
        return CannotConnect(f"{self._target}: the connection was closed while it was being made")

    def close(self) -> None:
        """Closes what there is, for an attempt that failed. Total."""
        with self._lock:
            sock, self._socket = self._socket, None
        if sock is not None:
            sock.close()

    def last_words(self) -> str:
        """What is to be told about the way when the target does not answer; "" for nothing."""
        return ""

    def _hold(self, sock: Stream) -> None:
        """From here on cancel() shuts this stream down, and close() closes it."""
        with self._lock:
            self._socket = sock
        self.check()
