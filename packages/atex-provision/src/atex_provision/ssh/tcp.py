"""Directly to a host, over TCP.

The name is looked up in a thread of its own, since getaddrinfo() can neither be interrupted nor be
given a time; that thread ends with the look-up.
"""

import contextlib
import errno
import os
import queue
import select
import socket
import threading
from typing import Any

from atex_provision.errors import CannotConnect, ConnectionRefused, ConnectTimeout, UnknownHost
from atex_provision.ssh.config import Target
from atex_provision.ssh.route import Route

SILENCE = 45_000  # milliseconds without an answer after which the kernel gives a connection up
KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 10}  # seconds

_AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]
_Answer = list[_AddressInfo] | OSError | UnicodeError | None  # None: cancelled


class TcpRoute(Route):
    """Directly, over TCP."""

    sees_far_end = True  # the kernel does

    def __init__(self, target: Target, timeout: float) -> None:
        super().__init__(target, timeout)
        self._answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()

    def cancel(self) -> None:
        super().cancel()
        self._answers.put(None)

    def connect(self) -> socket.socket:
        """A connection to the first of the host's addresses that answers."""
        addresses = self._look_up()
        error: OSError | None = None
        for family, kind, protocol, _, address in addresses:
            try:
                sock = socket.socket(family, kind, protocol)
                self._hold(sock)
                self._call(sock, address, self._timeout / len(addresses))
                _prepare(sock)
                return sock
            except OSError as problem:
                self.close()
                self.check()
                error = problem
        raise self._unreachable(error)

    def _look_up(self) -> list[_AddressInfo]:
        where = (self._target.address, self._target.port)
        with contextlib.suppress(socket.gaierror, UnicodeError):
            return socket.getaddrinfo(*where, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)

        def ask() -> None:
            try:
                self._answers.put(socket.getaddrinfo(*where, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:  # UnicodeError: no name can look like this
                self._answers.put(error)

        asking = threading.Thread(target=ask, name=f"look up {self._target.address}", daemon=True)
        try:
            asking.start()
        except RuntimeError as error:
            raise CannotConnect(f"{self._target}: its name cannot be looked up: {error}") from error
        try:
            answer = self._answers.get(timeout=self._timeout)
        except queue.Empty:
            seconds = f"{self._timeout:g} s"
            raise ConnectTimeout(f"{self._target}: its name was not found in {seconds}") from None
        self.check()
        if not isinstance(answer, list):
            raise UnknownHost(f"{self._target}: no such host ({answer}); is the name right?")
        return answer

    def _call(self, sock: socket.socket, address: tuple[Any, ...], timeout: float) -> None:
        """Connects the socket.

        A shutdown() ends that only if it is under way; hence the look once it is.
        """
        sock.setblocking(False)
        error = sock.connect_ex(address)
        if error == errno.EINPROGRESS:
            self.check()
            poll = select.poll()
            poll.register(sock, select.POLLOUT)
            if not poll.poll(timeout * 1000):
                raise TimeoutError
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))

    def _unreachable(self, error: OSError | None) -> CannotConnect:
        match error:
            case ConnectionRefusedError():
                return ConnectionRefused(
                    f"{self._target}: connection refused; is sshd running there, on this port?"
                )
            case TimeoutError():
                return ConnectTimeout(
                    f"{self._target}: no answer in {self._timeout:g} s;"
                    " is the machine up, and no firewall in between?"
                )
        return CannotConnect(f"{self._target}: cannot be reached: {error}")


def _prepare(sock: socket.socket) -> None:
    """Small messages shall leave at once, and a dead peer be noticed within a minute (tcp(7))."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in KEEPALIVE.items():
        sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
