"""Machines that run an ssh server.

Guarantees: one thread per connection and jump host, and none when close() has returned. A channel that fails
takes its connection with it: paramiko may stall after an error, with `is_active()` still true.

`SshConnection._lock` guards `_transport` and `_dial`, and is never held while anything waits.
"""

import logging
import threading
import time

import paramiko
from paramiko.buffered_pipe import PipeTimeout

from atex_provision.connection.base import Channel, Connection
from atex_provision.errors import CannotConnect, ConnectionLost
from atex_provision.host import Host
from atex_provision.ssh.channels import StderrTail, open_window
from atex_provision.ssh.config import HostKeys, find_target
from atex_provision.ssh.dial import Dial
from atex_provision.ssh.login import login_command
from atex_provision.ssh.transport import PACKET, BoundedTransport, close_transport

# Whatever paramiko logs reaches the caller as an exception, too. Without this its tracebacks land
# on stderr; who wants to see them sets a level for this logger.
_logger = logging.getLogger("paramiko")
_logger.addHandler(logging.NullHandler())
if _logger.level == logging.NOTSET:
    _logger.setLevel(logging.CRITICAL)


class SshConnection(Connection):
    """Reaches `host` by ssh, with what ~/.ssh/config, the ssh agent and known_hosts say of it."""

    def __init__(
        self, host: Host, *, timeout: float | None = None, host_keys: HostKeys = "new"
    ) -> None:
        """`timeout`: seconds for each step of connecting (look-up, TCP, handshake, login), jump hosts apart; without it
        ConnectTimeout of the config, or half a minute.

        `host_keys`: "new" accepts an unknown host once and remembers its key, "strict" refuses it.
        """
        self.name = host.name
        self._host = host
        self._host_keys = host_keys
        self._timeout = timeout
        self._lock = threading.Lock()
        self._transport: BoundedTransport | None = None
        self._dial: Dial | None = None

    @property
    def login(self) -> str:
        return login_command(self._host)

    def connect(self) -> None:
        with self._lock:
            transport = self._transport
        if transport is not None:
            if transport.is_active():
                return
            close_transport(transport)
        dial = Dial(find_target(self._host, self._host_keys), self._timeout)
        with self._lock:
            self._dial, self._transport = dial, None
        transport = dial.connect()
        with self._lock:
            closed = self._dial is not dial
            if not closed:
                self._dial, self._transport = None, transport
        if closed:  # after the last look of the dial
            close_transport(transport)
            raise CannotConnect(f"{self.name}: the connection was closed while it was being made")

    def open(self, command: str, timeout: float | None = None) -> Channel:
        with self._lock:
            transport = self._transport
        if transport is None:
            raise ConnectionLost(f"{self.name}: not connected")
        try:
            channel, stderr = transport.start_command(command, timeout)
        except TimeoutError:
            raise TimeoutError(f"{self.name}: no channel was opened in {timeout:g} s") from None
        except _FAILURES as error:
            raise _lost(self.name, transport, error) from error
        return SshChannel(self.name, transport, channel, stderr)

    def close(self) -> None:
        with self._lock:
            dial, self._dial = self._dial, None
            transport, self._transport = self._transport, None
        if dial is not None:
            dial.cancel()
        if transport is not None:
            close_transport(transport)


class SshChannel(Channel):
    """A command on the other side of an ssh connection.

    Buffers and locks are paramiko's; `_closed` only ever becomes True.
    """

    def __init__(
        self, name: str, transport: BoundedTransport, channel: paramiko.Channel, stderr: StderrTail
    ) -> None:
        self._name = name
        self._transport = transport
        self._channel = channel
        self._stderr = stderr
        self._closed = False

    def receive(self, size: int, timeout: float | None = None) -> bytes:
        self._check_open()
        try:
            data: bytes = self._channel.in_buffer.read(size, timeout)
            open_window(self._channel, len(data))
        except PipeTimeout:
            raise TimeoutError(f"{self._name}: nothing came in time") from None
        except _FAILURES as error:
            raise self._lost(error) from error
        if not data and (self._closed or not self._channel.eof_received):
            raise self._lost()
        return data

    def send(self, data: bytes, timeout: float | None = None) -> None:
        self._check_open()
        deadline = None if timeout is None else time.monotonic() + timeout
        rest = memoryview(data)
        while rest:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            self._channel.settimeout(left)  # for send() alone: receive() does not use it
            try:
                sent = self._channel.send(bytes(rest[:PACKET]))
            except TimeoutError:
                raise TimeoutError(f"{self._name}: the command does not read its input") from None
            except _FAILURES as error:
                raise self._lost(error) from error
            if not sent:
                raise self._lost()
            rest = rest[sent:]

    def close_stdin(self) -> None:
        self._check_open()
        try:
            self._channel.shutdown_write()
        except _FAILURES as error:
            raise self._lost(error) from error

    def stderr_tail(self) -> bytes:
        return self._stderr.tail()

    def wait(self, timeout: float | None) -> int:
        self._check_open()
        if not self._channel.status_event.wait(timeout):
            raise TimeoutError(f"{self._name}: the command has not ended")
        if self._closed or self._channel.exit_status < 0:
            raise self._lost()
        return self._channel.exit_status

    def close(self) -> None:
        self._closed = True
        try:
            self._channel.close()
        except _FAILURES:
            close_transport(self._transport)

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectionLost(f"{self._name}: the channel is closed")

    def _lost(self, error: Exception | None = None) -> ConnectionLost:
        if self._closed:
            return ConnectionLost(f"{self._name}: the channel was closed")
        if self._channel.closed and self._transport.is_active():
            return ConnectionLost(f"{self._name}: the command has ended, or could not be started")
        return _lost(self._name, self._transport, error)


_FAILURES = (paramiko.SSHException, EOFError, OSError)


def _lost(name: str, transport: BoundedTransport, error: Exception | None) -> ConnectionLost:
    """Closes the connection, and says why it is of no use any more."""
    reason = str(error or transport.get_exception() or "")
    close_transport(transport)
    return ConnectionLost(f"{name}: the connection was lost: {reason or 'its other end is gone'}")
