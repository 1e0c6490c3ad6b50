"""From a target to a connection that is logged in: reach it, shake hands, trust it, log in.

`Dial` is used by the thread that connects; only cancel() may come from others. `_gates_lock` guards
`_gates`.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import paramiko

from atex_provision.errors import CannotConnect, ConnectTimeout, LoginRejected
from atex_provision.ssh.config import Target
from atex_provision.ssh.gate import Gate
from atex_provision.ssh.jump import JumpRoute
from atex_provision.ssh.keys import Identities, Identity
from atex_provision.ssh.known_hosts import KnownKey
from atex_provision.ssh.proxy import ProxyRoute
from atex_provision.ssh.route import Route
from atex_provision.ssh.tcp import TcpRoute
from atex_provision.ssh.transport import BoundedTransport, close_transport
from atex_provision.ssh.trust import check_host_key, known_keys, prefer_known

HANDSHAKES = 8  # at once per target: sshd drops more (MaxStartups), OpenSSH 9.8 punishes for it
LOOK = 0.1  # seconds between looks whether it was cancelled; only while connecting
IDLE_WAKEUP = 30.0  # seconds; paramiko's 0.1 wakes an idle process ten times a second per machine

_gates: dict[tuple[str, int], Gate] = {}
_gates_lock = threading.Lock()


class Dial:
    """One attempt to connect. Each of its steps may take `timeout` seconds, or as long as the config says."""

    def __init__(self, target: Target, timeout: float | None) -> None:
        self._target = target
        self._timeout = target.timeout if timeout is None else timeout
        hop = None if target.via is None else Dial(target.via, timeout)
        self._route = _route(target, self._timeout, hop)
        self._turn = threading.Event()

    def cancel(self) -> None:
        """Ends connect() at once, with CannotConnect. Any thread, any time; total.

        A connection that was made already is closed.
        """
        self._route.cancel()
        self._turn.set()

    def connect(self) -> BoundedTransport:
        """Connects and logs in. Raises CannotConnect or one of its subclasses."""
        known = known_keys(self._target)
        with contextlib.closing(Identities(self._target)) as identities:
            try:
                self._route.approach()
                with self._place():
                    transport = self._begin(known, identities)
            except BaseException:
                self._route.close()
                raise
        if self._route.sees_far_end:
            transport.sock.settimeout(IDLE_WAKEUP)
        else:
            transport.watch()
        return transport

    def _begin(self, known: list[KnownKey], identities: Identities) -> BoundedTransport:
        transport = BoundedTransport(self._route.connect())
        try:
            self._shake_hands(transport, known)
            check_host_key(self._target, transport.get_remote_server_key(), known)
            self._log_in(transport, identities)
        except BaseException:
            identities.close()  # the transport's thread may wait for a signature
            close_transport(transport)
            raise
        return transport

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Inside, we are one of the few that log in to this target. Raises CannotConnect."""
        with _gates_lock:
            where = (self._target.address, self._target.port)
            gate = _gates.setdefault(where, Gate(HANDSHAKES))
        if not gate.enter(self._turn):
            raise self._route.cancelled()
        try:
            yield
        finally:
            gate.leave()

    def _shake_hands(self, transport: BoundedTransport, known: list[KnownKey]) -> None:
        options = transport.get_security_options()
        options.key_types = prefer_known(tuple(options.key_types), known)
        # paramiko's own limits would say less about it than _await() does.
        transport.banner_timeout = transport.handshake_timeout = 2 * self._timeout
        done = threading.Event()
        transport.start_client(event=done)
        self._await(transport, done, "the ssh handshake")

    def _log_in(self, transport: BoundedTransport, identities: Identities) -> None:
        tried = []
        with contextlib.suppress(_Disconnected):
            for identity in identities.offers:
                tried.append(identity.name)
                if self._is_accepted(transport, identity):
                    return
        unusable = identities.unusable
        raise LoginRejected(
            f"{self._target}: rejected the login of user {self._target.user};"
            f" tried: {', '.join(tried) or 'no key'}"
            + (f"; could not try: {', '.join(unusable)}" if unusable else "")
            + ". Add the public key to ~/.ssh/authorized_keys there, or name another user or key."
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
            self._route.check()
            if time.monotonic() > end:
                raise ConnectTimeout(
                    f"{self._target}: no answer to {what} in {self._timeout:g} s"
                    f"{self._route.last_words()}"
                )
        if transport.is_active():
            return
        self._route.check()
        error = transport.get_exception()
        if error is None:
            raise _Disconnected(f"{self._target}: the server ended {what}")
        raise CannotConnect(
            f"{self._target}: {what} failed{self._route.last_words()}:"
            f" {str(error) or 'the server hung up'};"
            " is that an ssh server, and not too busy (MaxStartups)?"
        )


class _Disconnected(CannotConnect):
    """The server said good-bye; at a login that means too many keys (MaxAuthTries)."""


def _route(target: Target, timeout: float, hop: Dial | None) -> Route:
    if hop is not None:
        return JumpRoute(target, timeout, hop)
    if target.proxy_command is not None:
        return ProxyRoute(target, timeout)
    return TcpRoute(target, timeout)
