"""From the name of a host to a connection that is logged in, in steps that another thread can
cancel.

`Dial` is used by the thread that connects; only cancel() may come from others. `_lock` guards
`_cancelled` and `_socket`. The name is looked up in a thread of its own, because getaddrinfo() can
neither be interrupted nor be given a time; that thread ends with the look-up. Everything else waits
on the socket, which cancel() shuts down.
"""

import contextlib
import errno
import os
import queue
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import paramiko

from atex_provision.errors import (
    CannotConnect,
    ConnectionRefused,
    ConnectTimeout,
    HostKeyChanged,
    LoginRejected,
    UnknownHost,
)
from atex_provision.ssh import known_hosts
from atex_provision.ssh.config import Target
from atex_provision.ssh.keys import Identities, Identity
from atex_provision.ssh.known_hosts import KnownKey
from atex_provision.ssh.transport import BoundedTransport

HANDSHAKES = 8  # at once per target: sshd drops more (MaxStartups), and OpenSSH 9.8 punishes for it
LOOK = (
    0.1  # seconds between looks whether a wait inside paramiko was cancelled; only while connecting
)
SILENCE = 45_000  # milliseconds without an answer after which the kernel gives a connection up
KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 10}  # seconds
IDLE_WAKEUP = 30.0  # seconds; paramiko's own 0.1 would wake an idle process ten times a second for each machine

_AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]

_gates: dict[tuple[str, int], threading.Semaphore] = {}
_gates_lock = threading.Lock()


class Dial:
    """One attempt to connect to `target`, which may take `timeout` seconds for each of its
    steps.
    """

    def __init__(self, target: Target, timeout: float) -> None:
        self._target = target
        self._timeout = timeout
        self._lock = threading.Lock()
        self._cancelled = False
        self._socket: socket.socket | None = None
        self._addresses: queue.SimpleQueue[list[_AddressInfo] | OSError | None] = (
            queue.SimpleQueue()
        )

    @property
    def cancelled(self) -> bool:
        """Whether cancel() was called."""
        with self._lock:
            return self._cancelled

    def cancel(self) -> None:
        """Makes the thread that connects end at once with CannotConnect. Any thread, any time;
        total.
        """
        with self._lock:
            self._cancelled = True
            sock = self._socket
        self._addresses.put(None)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def connect(self) -> BoundedTransport:
        """Connects and logs in. Raises CannotConnect or one of its subclasses."""
        known = self._known_keys()
        with self._gate():
            transport = BoundedTransport(self._reach())
            try:
                self._shake_hands(transport, known)
                self._check_host_key(transport, known)
                self._log_in(transport)
                self._check_cancelled()
            except BaseException:
                close_transport(transport)
                raise
        transport.sock.settimeout(IDLE_WAKEUP)
        return transport

    @contextmanager
    def _gate(self) -> Iterator[None]:
        with _gates_lock:
            where = (self._target.address, self._target.port)
            gate = _gates.setdefault(where, threading.Semaphore(HANDSHAKES))
        while not gate.acquire(timeout=LOOK):
            self._check_cancelled()
        try:
            yield
        finally:
            gate.release()

    def _check_cancelled(self) -> None:
        if self.cancelled:
            raise CannotConnect(
                f"{self._target}: the connection was closed while it was being made"
            )

    # The way there

    def _reach(self) -> socket.socket:
        """A TCP connection to the first of the host's addresses that answers."""
        addresses = self._look_up()
        error: OSError | None = None
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                self._hold(sock)
                self._call(sock, address, self._timeout / len(addresses))
                _prepare(sock)
                return sock
            except OSError as problem:
                sock.close()
                self._check_cancelled()
                error = problem
            except BaseException:
                sock.close()
                raise
        raise self._unreachable(error)

    def _look_up(self) -> list[_AddressInfo]:
        where = (self._target.address, self._target.port)
        with contextlib.suppress(socket.gaierror, UnicodeError):
            return socket.getaddrinfo(*where, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)

        def look_up() -> None:
            try:
                self._addresses.put(socket.getaddrinfo(*where, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:  # an impossible name is no Unicode for IDNA
                self._addresses.put(OSError(str(error)))

        threading.Thread(
            target=look_up, name=f"look up {self._target.address}", daemon=True
        ).start()
        try:
            found = self._addresses.get(timeout=self._timeout)
        except queue.Empty:
            raise ConnectTimeout(
                f"{self._target}: its name was not found in {self._timeout:g} s"
            ) from None
        self._check_cancelled()
        if not isinstance(found, list):
            raise UnknownHost(f"{self._target}: no such host ({found}); is the name right?")
        return found

    def _hold(self, sock: socket.socket) -> None:
        """From here on cancel() shuts this socket down."""
        with self._lock:
            self._socket = sock
        self._check_cancelled()

    def _call(self, sock: socket.socket, address: tuple[Any, ...], timeout: float) -> None:
        """Connects the socket. cancel() can end that only when it is under way, so it is asked for
        once more then.
        """
        sock.setblocking(False)
        error = sock.connect_ex(address)
        if error == errno.EINPROGRESS:
            self._check_cancelled()
            poll = select.poll()
            poll.register(sock, select.POLLOUT)
            if not poll.poll(timeout * 1000):
                raise TimeoutError
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))

    def _unreachable(self, error: OSError | None) -> CannotConnect:
        if isinstance(error, ConnectionRefusedError):
            return ConnectionRefused(
                f"{self._target}: connection refused; is sshd running there, on this port?"
            )
        if isinstance(error, TimeoutError):
            return ConnectTimeout(
                f"{self._target}: no answer in {self._timeout:g} s; is the machine up, and no firewall between?"
            )
        return CannotConnect(f"{self._target}: cannot be reached: {error}")

    # Who is there

    def _shake_hands(self, transport: BoundedTransport, known: list[KnownKey]) -> None:
        kinds = {line.kind for line in known}
        options = transport.get_security_options()
        # A kind of key that is known comes first: a server has no excuse to show another one.
        options.key_types = sorted(
            options.key_types, key=lambda algorithm: _key_kind(algorithm) not in kinds
        )
        transport.banner_timeout = transport.handshake_timeout = self._timeout
        done = threading.Event()
        transport.start_client(event=done)
        self._await(transport, done, "the ssh handshake")

    def _check_host_key(self, transport: BoundedTransport, known: list[KnownKey]) -> None:
        key = transport.get_remote_server_key()
        blob = key.asbytes()
        for line in known:
            if line.revoked and line.key == blob:
                raise HostKeyChanged(
                    f"{self._target}: its host key is revoked by {line.path}:{line.line}"
                )
        valid = [line for line in known if not line.revoked] or self._remember(key.get_name(), blob)
        if valid and all(line.key != blob for line in valid):
            line = valid[0]
            raise HostKeyChanged(
                f"{self._target}: its host key is not the one of {line.path}:{line.line} any more but"
                f" {key.get_name()} {key.fingerprint}. If the machine was installed anew, remove the old key:"
                f" ssh-keygen -f '{line.path}' -R '{self._host_id}'. If not, somebody may be in between."
            )

    def _remember(self, kind: str, blob: bytes) -> list[KnownKey]:
        own = known_hosts.own_file()
        try:
            return known_hosts.remember(self._host_id, kind, blob, own)
        except OSError as error:
            raise CannotConnect(
                f"{self._target}: cannot keep its host key in {own}: {error}"
            ) from error

    def _known_keys(self) -> list[KnownKey]:
        try:
            return known_hosts.known_keys(self._host_id, known_hosts.read_files())
        except OSError as error:
            raise CannotConnect(f"{self._target}: cannot look for its host key: {error}") from error

    @property
    def _host_id(self) -> str:
        return known_hosts.host_id(self._target.address, self._target.port)

    # Who we are

    def _log_in(self, transport: BoundedTransport) -> None:
        identities = Identities(self._target)
        tried = []
        with identities as offers, contextlib.suppress(_Disconnected):
            for identity in offers:
                tried.append(identity.name)
                if self._is_accepted(transport, identity):
                    return
        raise LoginRejected(
            f"{self._target}: rejected the login of user {self._target.user};"
            f" tried: {', '.join(tried) or 'no key'}{_in_words(identities.unusable)}."
            " Add the public key to ~/.ssh/authorized_keys there, or name another user or key."
        )

    def _is_accepted(self, transport: BoundedTransport, identity: Identity) -> bool:
        answered = threading.Event()
        # If the connection has ended meanwhile, _await() knows why.
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            transport.auth_publickey(self._target.user, identity.key, answered)
        self._await(transport, answered, "the login")
        return transport.is_authenticated()

    def _await(self, transport: BoundedTransport, event: threading.Event, what: str) -> None:
        """Waits for a step of paramiko's."""
        end = time.monotonic() + self._timeout
        while not event.wait(LOOK) and transport.is_active():
            self._check_cancelled()
            if time.monotonic() > end:
                raise ConnectTimeout(f"{self._target}: no answer to {what} in {self._timeout:g} s")
        if transport.is_active():
            return
        self._check_cancelled()
        error = transport.get_exception()
        if error is None:
            raise _Disconnected(f"{self._target}: the server ended {what}")
        raise CannotConnect(
            f"{self._target}: {what} failed: {str(error) or 'the server hung up'};"
            " is that an ssh server, and not too busy (MaxStartups)?"
        )


class _Disconnected(CannotConnect):
    """The server said good-bye; after several keys that means that there were too many
    (MaxAuthTries).
    """


def _in_words(unusable: list[str]) -> str:
    return f"; could not try: {', '.join(unusable)}" if unusable else ""


def _key_kind(algorithm: str) -> str:
    """The kind of key that an algorithm signs with, as known_hosts has it."""
    return "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm


def _prepare(sock: socket.socket) -> None:
    """A small message leaves at once, and a dead peer is noticed within a minute (tcp(7))."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in KEEPALIVE.items():
        sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)


def close_transport(transport: paramiko.Transport) -> None:
    """Closes a connection and ends its thread. Total; any thread.

    The socket is shut down first: that wakes the thread, which then tells all who wait, while
    Transport.close() would leave it in its recv() for up to 30 s.
    """
    with contextlib.suppress(OSError):
        transport.sock.shutdown(socket.SHUT_RDWR)
    if transport.is_alive():
        transport.join(IDLE_WAKEUP)
    transport.close()
    transport.sock.close()
