"""The host that is attached now: the descriptors that its bridge handed over, and the frames on them."""

import os
import socket
from collections import deque

from .framing import MAGIC, FrameError, FrameReader, pack
from .loop import READ, WRITE, Loop
from .outbox import Outbox

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_READ_SIZE = 64 * 1024  # bytes
_WRITE_SIZE = 256 * 1024  # bytes


class Attachment:
    """Reads orders and writes frames, never blocking.

    `on_frame(number, head, tail)` is called for each frame of the host, `on_lost(attachment)` once, when the
    connection is gone or the host sends what is no frame. `close()` may be called at any time.
    """

    def __init__(
        self,
        loop: Loop,
        outbox: Outbox,
        bridge: socket.socket,
        stdin: int,
        stdout: int,
        on_frame: "Callable[[int, bytes, bytes], None]",
        on_lost: "Callable[[Attachment], None]",
    ) -> None:
        self._loop = loop
        self._outbox = outbox
        self._bridge = bridge  # the socket on which the bridge waits
        self._stdin = stdin
        self._stdout = stdout
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._reader = FrameReader()
        self._urgent = deque([MAGIC])  # what goes before the outbox's frames
        self._writing = memoryview(b"")  # taken from the outbox or the urgent, not yet written
        self._closed = False
        os.set_blocking(stdin, False)
        os.set_blocking(stdout, False)
        outbox.rewind()
        loop.watch(stdin, READ, self._read)
        loop.watch(stdout, 0, self._stdout_ready)  # HUP and ERR come unasked
        loop.watch(bridge.fileno(), READ, self._bridge_gone)

    def say(self, head: "dict[str, Any]") -> None:
        """Send a frame that does not count, before those in the outbox."""
        self._urgent.append(pack(0, head))

    def flush(self) -> None:
        """Write what the connection takes now; the rest follows when it takes more."""
        while not self._closed:
            if not self._writing:
                self._writing = memoryview(self._next())
                if not self._writing:
                    self._loop.watch(self._stdout, 0, self._stdout_ready)
                    return
            try:
                written = os.write(self._stdout, self._writing)
            except BlockingIOError:
                self._loop.watch(self._stdout, WRITE, self._stdout_ready)
                return
            except OSError:
                self._lost()
                return
            self._writing = self._writing[written:]

    @property
    def idle(self) -> bool:
        """Has everything been written?"""
        return not (self._writing or self._urgent or self._outbox.pending)

    def close(self) -> None:
        """Give the descriptors back; the bridge ends."""
        if not self._closed:
            self._closed = True
            for fd in (self._stdin, self._stdout, self._bridge.fileno()):
                self._loop.forget(fd)
            os.close(self._stdin)
            os.close(self._stdout)
            self._bridge.close()

    def _next(self) -> bytes:
        if self._urgent:
            frames = b"".join(self._urgent)
            self._urgent.clear()
            return frames
        return self._outbox.take(_WRITE_SIZE)

    def _stdout_ready(self, mask: int) -> None:
        if mask & ~WRITE:
            self._lost()
        else:
            self.flush()

    def _bridge_gone(self, mask: int) -> None:
        self._lost()

    def _read(self, mask: int) -> None:
        try:
            data = os.read(self._stdin, _READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        try:
            for frame in self._reader.feed(data):
                self._on_frame(*frame)
                if self._closed:
                    return
        except FrameError:
            self._lost()

    def _lost(self) -> None:
        if not self._closed:
            self.close()
            self._on_lost(self)
