"""What comes for the channels of a connection, with bounds.

Guarantee: a channel holds at most its window, and the last of stderr; nobody has to read stderr.
"""

import signal
import threading
from collections.abc import Callable

import paramiko
from paramiko.common import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_REQUEST,
    cMSG_CHANNEL_WINDOW_ADJUST,
)

from atex_provision.connection.base import STDERR_TAIL

WINDOW = 4 << 20  # bytes that a channel may have in flight, and so what it may cost in memory


class StderrTail:
    """Takes the place of a channel's buffer for stderr: keeps the last 64 KiB and opens the window
    again.
    """

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._tail = bytearray()

    def feed(self, data: bytes) -> None:
        """Called by the transport's thread for what arrives."""
        with self._lock:
            self._tail += data
            del self._tail[:-STDERR_TAIL]
        open_window(self._channel, len(data))

    def __len__(self) -> int:
        with self._lock:
            return len(self._tail)

    def close(self) -> None:
        """Called when no more will arrive; nobody waits here, so nobody needs to know."""

    def tail(self) -> bytes:
        """What is kept; any thread."""
        with self._lock:
            return bytes(self._tail)


def open_window(channel: paramiko.Channel, size: int) -> None:
    """Tells the server now and then that it may send as much again as we have taken from the
    channel.
    """
    grown = channel._check_add_window(size)  # type: ignore[attr-defined]
    if grown:
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_WINDOW_ADJUST)
        message.add_int(channel.remote_chanid)
        message.add_int(grown)
        channel.get_transport()._send_user_message(message)  # type: ignore[attr-defined]


def _feed(channel: paramiko.Channel, message: paramiko.Message) -> None:
    paramiko.Channel._feed(channel, message)  # type: ignore[attr-defined]
    _check_window(len(channel.in_buffer))


def _feed_extended(channel: paramiko.Channel, message: paramiko.Message) -> None:
    """Also of a channel that has no stderr, which nobody would read."""
    paramiko.Channel._feed_extended(channel, message)  # type: ignore[attr-defined]
    _check_window(len(channel.in_stderr_buffer))


def _check_window(held: int) -> None:
    if held > WINDOW:
        raise paramiko.SSHException("the server sent more than the window allows")


def _handle_request(channel: paramiko.Channel, message: paramiko.Message) -> None:
    if message.get_text() == "exit-signal":
        message.get_boolean()
        number = getattr(signal, f"SIG{message.get_text()}", signal.SIGKILL)
        channel.exit_status = 128 + number
        channel.status_event.set()
        return
    message.rewind()
    message.get_int()  # the channel, which our caller has read
    paramiko.Channel._handle_request(channel, message)  # type: ignore[attr-defined]


HANDLERS: dict[int, Callable[[paramiko.Channel, paramiko.Message], None]] = {
    MSG_CHANNEL_DATA: _feed,
    MSG_CHANNEL_EXTENDED_DATA: _feed_extended,
    MSG_CHANNEL_REQUEST: _handle_request,
}
"""By kind of message; in place of paramiko's."""
