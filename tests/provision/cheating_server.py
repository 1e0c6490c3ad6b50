"""An ssh server that does what no ssh server should."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
from atex_provision import Host, SshConnection
from atex_provision.ssh.transport import BoundedTransport, close_transport

from tests.waits import PATIENCE

GREETING = b"SSH-2.0-cheat\r\n"

Cheat = Callable[[socket.socket], None]
"""What becomes of a connection; may go on until it fails with an OSError or EOFError."""


@contextmanager
def cheating_server(cheat: Cheat, folder: Path, *, timeout: float = 1.0) -> Iterator[SshConnection]:
    """A connection to a server that does `cheat`, not yet connected."""
    identity = folder / "identity"
    paramiko.ECDSAKey.generate().write_private_key_file(str(identity))
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = [server]

        def serve() -> None:
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                peer, _ = server.accept()
                held.append(peer)
                with peer:
                    cheat(peer)

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        port = server.getsockname()[1]
        host = Host(address="127.0.0.1", port=port, user="me", identity=str(identity))
        connection = SshConnection(host, timeout=timeout)
        try:
            yield connection
        finally:
            connection.close()
            for sock in held:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            serving.join(PATIENCE)
            assert not serving.is_alive(), "the server has not ended"


class Server(BoundedTransport):
    """The usual part of an ssh server: it exchanges keys, lets everybody in and starts every command.

    Made of ours, for paramiko's stalls now and then when keys are exchanged.
    """

    def __init__(self, peer: socket.socket, **handlers: Callable[..., None]) -> None:
        """`handlers` take the place of methods of paramiko's, `_parse_kex_init` for example."""
        super().__init__(peer)
        for name, handler in handlers.items():
            setattr(self, name, handler)
        self.add_server_key(paramiko.ECDSAKey.generate())

    def serve(self, interface: paramiko.ServerInterface | None = None) -> None:
        self.start_server(threading.Event(), interface or LetIn())  # which does not wait then

    def say(self, kind: int, *words: str | int | bytes | bool) -> None:
        """Sends a message."""
        message = paramiko.Message()
        message.add_byte(bytes([kind]))
        for word in words:
            match word:
                case bool():
                    message.add_boolean(word)
                case int():
                    message.add_int(word)
                case _:
                    message.add_string(word)
        self._send_message(message)  # type: ignore[attr-defined]


class LetIn(paramiko.ServerInterface):
    """Everybody may do everything."""

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        return True


def after_login(cheat: Callable[[Server], None]) -> Cheat:
    """A server that lets the client in, and then does `cheat`."""

    def serve(peer: socket.socket) -> None:
        server = Server(peer)
        server.serve()
        try:
            while not server.is_authenticated():
                if not server.is_active():
                    return
                server.join(0.01)
            cheat(server)
            server.join()  # until the client has hung up
        finally:
            close_transport(server)

    return serve


def in_command(cheat: Callable[[Server, paramiko.Channel], None]) -> Cheat:
    """A server that does `cheat` where the client's first command should run."""

    def serve(server: Server) -> None:
        channel = server.accept(PATIENCE)
        assert channel is not None
        cheat(server, channel)

    return after_login(serve)
