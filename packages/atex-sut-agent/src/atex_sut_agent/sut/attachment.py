"""The host that is attached now: the descriptors that its bridge handed over, and the frames on them."""

import os
import socket
from collections import deque

from .clock import now
from .framing import MAGIC, FrameError, FrameReader, pack
from .loop import READ, WRITE, Loop, Timer
from .outbox import Outbox
from .pipes import enlarge

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FAREWELL = 5.0  # seconds for the last words to leave
STUCK = 1.0  # seconds without any progress until a connection counts as one that takes nothing

_READ_SIZE = 64 * 1024  # bytes
_WRITE_SIZE = 256 * 1024  # bytes


class Attachment:
    """Reads orders and writes frames, never blocking.

    `on_frame(number, head, tail)` is called for each frame of the host, `on_over()` once, when the descriptors were
    given back: the connection is gone, the host sends what is no frame, it is silent, or all was said (`finish`).
    `beat` is the seconds between signs of life, which `alive()` makes, `silence` those without a byte until the host
    counts as gone.
    """

    def __init__(
        self,
        loop: Loop,
        outbox: Outbox,
        bridge: socket.socket,
        descriptors: "tuple[int, int]",
        beat: float,
        silence: float,
        alive: "Callable[[], dict[str, Any]]",
        on_frame: "Callable[[int, bytes, bytes], None]",
        on_over: "Callable[[], None]",
    ) -> None:
        self._loop = loop
        self._outbox: "Outbox | None" = outbox  # None: nothing more of it is said here
        self._bridge = bridge  # the socket on which the bridge waits
        self._stdin, self._stdout = descriptors
        self._interval = beat
        self._silence = silence
        self._alive = alive
        self._on_frame = on_frame
        self._on_over = on_over
        self._reader = FrameReader()
        self._urgent = deque([MAGIC])  # what goes before the outbox's frames
        self._last = b""  # what goes behind them; then we part
        self._writing = memoryview(b"")  # taken from one of these, not yet written
        self._parting = False
        self._closed = False
        self._heard = now()
        self._blocked: "float | None" = None  # since when it takes nothing
        self._look_again: "Timer | None" = None  # wakes the loop, for who asks whether it is stuck
        self._timer = loop.after(beat, self._beat)
        os.set_blocking(self._stdin, False)
        os.set_blocking(self._stdout, False)
        enlarge(self._stdout)
        outbox.rewind()
        loop.watch(self._stdin, READ, self._read)
        loop.watch(self._stdout, 0, self._stdout_ready)  # HUP and ERR come unasked
        loop.watch(bridge.fileno(), READ, self._bridge_gone)

    @property
    def stuck(self) -> bool:
        """Does the host take nothing of what it is to be given?"""
        return self._blocked is not None and now() - self._blocked >= STUCK

    def say(self, head: "dict[str, Any]") -> None:
        """Send a frame that does not count, before those in the outbox."""
        self._urgent.append(pack(0, head))

    def finish(self, head: "dict[str, Any]") -> None:
        """Send what is in the outbox, then this, then close; after FAREWELL seconds close in any case."""
        self._last = pack(0, head)
        self._timer.cancel()
        self._timer = self._loop.after(FAREWELL, self.close)

    def supersede(self, head: "dict[str, Any]") -> None:
        """Like `finish`, but the outbox and the host's frames are another attachment's business from now on."""
        self._outbox = None
        self._on_over = lambda: None
        self._loop.forget(self._stdin)
        self.finish(head)
        self.flush()

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
                if self._blocked is None:
                    self._blocked = now()
                    self._look()
                return
            except OSError:
                self.close()
                return
            self._blocked = None
            self._writing = self._writing[written:]
            if self._parting and not self._writing:
                self.close()

    def _look(self) -> None:
        if self._look_again is None and self._blocked is not None and not self.stuck:
            self._look_again = self._loop.after(self._blocked + STUCK - now(), self._looked)

    def _looked(self) -> None:
        self._look_again = None
        self._look()

    def close(self) -> None:
        """Give the descriptors back; the bridge ends."""
        if not self._closed:
            self._closed = True
            self._timer.cancel()
            if self._look_again is not None:
                self._look_again.cancel()
            for fd in (self._stdin, self._stdout, self._bridge.fileno()):
                self._loop.forget(fd)
            os.close(self._stdin)
            os.close(self._stdout)
            self._bridge.close()
            self._on_over()

    def _next(self) -> bytes:
        if self._urgent:
            frames = b"".join(self._urgent)
            self._urgent.clear()
            return frames
        frames = self._outbox.take(_WRITE_SIZE) if self._outbox is not None else b""
        if not frames and self._last:
            self._parting = True
            return self._last
        return frames

    def _stdout_ready(self, mask: int) -> None:
        if mask & ~WRITE:
            self.close()
        else:
            self.flush()

    def _bridge_gone(self, mask: int) -> None:
        """It was killed, or its login ended. What the host had sent before, its last order perhaps, is still here."""
        self._read(mask)
        self.close()

    def _read(self, mask: int) -> None:
        try:
            data = os.read(self._stdin, _READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._heard = now()
        try:
            for frame in self._reader.feed(data):
                self._on_frame(*frame)
                if self._closed:
                    return
        except FrameError:
            self.close()

    def _beat(self) -> None:
        if now() - self._heard >= self._silence:
            self.close()
            return
        if not self._urgent:  # where the connection is stuck, one waits there already
            self.say(self._alive())
        self._timer = self._loop.after(self._interval, self._beat)
