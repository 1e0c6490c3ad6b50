"""One client of the control file: its descriptor, and the replies on their way to it."""

import contextlib
import os
import socket

from .control import Door
from .listener import Listener

_MAX_REPLIES = (
    64 * 1024
)  # bytes that a client may leave unread, beside what the kernel holds for it
_MAX_DUE = 16 * 1024  # bytes of promised replies, from which on nothing more is read
_PROMISE = 100  # bytes that one takes until it is kept, beside its text


class Client:
    """A stream that came through a door, the test's end of which is a socket, or a pipe (`connection` is None)."""

    def __init__(self, listener: Listener, fd: int, connection: "socket.socket | None") -> None:
        self.fd = fd
        self.door = Door(listener, can_reply=connection is not None)
        self.ended = False  # nothing more is read from it; it may still wait for replies
        self._connection = connection
        self._due = 0  # bytes that promised replies take
        self._replies = bytearray()  # not sent yet

    @property
    def expects_replies(self) -> bool:
        """Is a reply promised, or not yet out?"""
        return bool(self._due or self._replies)

    @property
    def awaits_reply(self) -> bool:
        """Is a reply promised?"""
        return self._due > 0

    @property
    def has_replies(self) -> bool:
        """Are there replies to `send()`?"""
        return bool(self._replies)

    @property
    def neglects_replies(self) -> bool:
        """Does it leave more of them unread than anybody may?"""
        return len(self._replies) > _MAX_REPLIES

    def promise(self, text: str) -> None:
        """This reply will follow. Where many are due, the door waits for them."""
        self._due += _PROMISE + len(_line(text))
        self.door.waiting = self.door.waiting or self._due > _MAX_DUE

    def keep(self, text: str) -> bool:
        """Give a promised reply; `send()` sends it. Return whether it was the last one that was promised."""
        self._due -= _PROMISE + len(_line(text))
        self.say(text)
        return not self._due

    def forget_promises(self) -> None:
        """What was promised will not be."""
        self._due = 0

    def say(self, text: str) -> None:
        """A line for the client; `send()` sends it."""
        self._replies += _line(text)

    def send(self) -> None:
        """Send replies as far as the client reads them. Never blocks."""
        if self._connection is None or not self._replies:
            return
        try:
            del self._replies[: self._connection.send(self._replies)]
        except BlockingIOError:
            pass
        except OSError:  # nobody listens any more
            self._replies.clear()

    def stop_reading(self) -> None:
        """Take nothing more: who writes fails from now on."""
        self.ended = True
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RD)
                # Closed with something in it, a socket gives its client an error in the place of the end of file.
                while self._connection.recv(65536):
                    pass

    def close(self) -> None:
        """Close the descriptor; replies that are not out are lost."""
        if self._connection is None:
            os.close(self.fd)
        else:
            self._connection.close()


def _line(text: str) -> bytes:
    return text.encode("utf-8", "replace") + b"\n"
