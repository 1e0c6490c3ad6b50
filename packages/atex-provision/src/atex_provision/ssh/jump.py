"""Through a jump host: a connection to it, and a channel of that which leads on (RFC 4254, 7.2).

A connection to the jump host serves one target, as with `ssh -J`: what becomes of it concerns nobody
else, and it ends with the stream.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import paramiko
from paramiko.buffered_pipe import PipeTimeout

from atex_provision.errors import CannotConnect, ConnectTimeout
from atex_provision.ssh.channels import open_window
from atex_provision.ssh.config import Target
from atex_provision.ssh.route import Route
from atex_provision.ssh.transport import PACKET, BoundedTransport, close_transport


class Hop(Protocol):
    """An attempt to connect to the jump host."""

    def connect(self) -> BoundedTransport: ...
    def cancel(self) -> None: ...


class JumpRoute(Route):
    """By way of the target's `via`."""

    def __init__(self, target: Target, timeout: float, hop: Hop) -> None:
        super().__init__(target, timeout)
        self._hop = hop
        self._transport: BoundedTransport | None = None

    def approach(self) -> None:
        try:
            self._transport = self._hop.connect()
        except CannotConnect as error:
            self.check()
            raise type(error)(f"{self._target}: its jump host fails: {error}") from error

    def connect(self) -> "JumpStream":
        transport = self._transport
        if transport is None:
            raise CannotConnect(f"{self._target}: connect() comes after approach()")
        try:
            channel = transport.open_tunnel(self._target.address, self._target.port, self._timeout)
        except TimeoutError:
            raise ConnectTimeout(
                f"{self._target}: jump host {self._target.via} has not reached it in"
                f" {self._timeout:g} s; is the machine up, and no firewall in between?"
            ) from None
        except (paramiko.SSHException, EOFError, OSError) as error:
            self.check()
            raise CannotConnect(
                f"{self._target}: jump host {self._target.via} cannot reach it:"
                f" {str(error) or 'it hung up'}"
            ) from error
        stream = JumpStream(transport, channel)
        self._hold(stream)
        return stream

    def cancel(self) -> None:
        super().cancel()
        self._hop.cancel()

    def close(self) -> None:
        super().close()
        if self._transport is not None:
            close_transport(self._transport)


class JumpStream:
    """A channel of a connection as the socket of another one. It owns the connection that it is a channel of.

    recv() is for one thread; any may call the others.
    """

    def __init__(self, transport: BoundedTransport, channel: paramiko.Channel) -> None:
        self._transport = transport
        self._channel = channel
        self._timeout: float | None = None

    def settimeout(self, seconds: float | None) -> None:
        """For each recv() and send() from now on."""
        self._timeout = seconds
        self._channel.settimeout(seconds)

    def recv(self, size: int) -> bytes:
        try:
            data: bytes = self._channel.in_buffer.read(size, self._timeout)
        except PipeTimeout:
            raise TimeoutError("nothing came in time") from None
        with _translated():
            open_window(self._channel, len(data))
        return data

    def send(self, data: bytes | memoryview) -> int:
        with _translated():
            sent = self._channel.send(bytes(data[:PACKET]))
        if not sent:
            raise BrokenPipeError("the jump host closed the channel")
        return sent

    def shutdown(self, how: int) -> None:
        """Ends everything, whatever `how` is: the channel ends with its connection."""
        self._transport.sock.shutdown(how)

    def close(self) -> None:
        close_transport(self._transport)

    @property
    def _closed(self) -> bool:  # paramiko asks
        return not self._transport.is_active()


@contextmanager
def _translated() -> Iterator[None]:
    """Errors of the connection to the jump host are those of a socket for who uses this one."""
    try:
        yield
    except (paramiko.SSHException, EOFError) as error:
        raise OSError(f"the connection to the jump host was lost: {error}") from error
