"""How ATEX reaches the machines here. (They themselves need nothing of ATEX.)"""

from pathlib import Path
from typing import Any, Protocol

from atex_provision import Host, SshConnection

_USUAL_PORT = 22


class Server(Protocol):
    """What an `Sshd` and a `Machine` have in common."""

    @property
    def address(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def user(self) -> str: ...
    @property
    def identity(self) -> Path: ...


def host_of(server: Server, **options: Any) -> Host:
    """How one logs in there; `options` are further fields of Host, or others. The usual port is not named."""
    port = None if server.port == _USUAL_PORT else server.port
    fields = {"address": server.address, "port": port, "user": server.user}
    return Host(**{**fields, "identity": str(server.identity), **options})


def ssh_to(server: Server, **options: Any) -> SshConnection:
    """A connection that is not connected yet; `options` as for `host_of()`."""
    return SshConnection(host_of(server, **options))
