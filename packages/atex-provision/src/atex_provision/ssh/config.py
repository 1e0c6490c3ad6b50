"""What ~/.ssh/config says about a host, as far as we follow it: HostName, User, Port, IdentityFile,
IdentitiesOnly.

ProxyJump and ProxyCommand are refused: to ignore them would mean to connect to another machine, or
to none.
"""

import getpass
from pathlib import Path

import msgspec
import paramiko

from atex_provision.errors import BadConfiguration
from atex_provision.host import Host

DEFAULT_PORT = 22


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where to connect to, and as whom."""

    address: str
    port: int
    user: str
    identity: Path | None
    """The only key to try, if the caller named one."""
    identity_files: tuple[Path, ...]
    """What the config lists."""
    identities_only: bool

    def __str__(self) -> str:
        """host:port, for messages."""
        return (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )


def find_target(host: Host) -> Target:
    """Joins `host` with the user's config; what `host` says wins. Raises BadConfiguration."""
    path = Path.home() / ".ssh/config"
    options = _lookup(path, host.address)
    for option in ("proxyjump", "proxycommand"):
        value = options.get(option)
        if value and value.lower() != "none":
            raise BadConfiguration(
                f"{host.name}: {path} wants {option} {value!r}, which atex does not support yet;"
                " use a host that can be reached directly, or set it to none for this host"
            )
    port = options.get("port", str(DEFAULT_PORT))
    if not port.isdecimal() or not 0 < int(port) < 2**16:
        raise BadConfiguration(f"{host.name}: {path} has a bad port for it: {port!r}")
    return Target(
        address=options.get("hostname", host.address),
        port=host.port or int(port),
        user=host.user or options.get("user") or getpass.getuser(),
        identity=Path(host.identity).expanduser() if host.identity else None,
        identity_files=tuple(Path(file).expanduser() for file in options.get("identityfile", [])),
        identities_only=options.get("identitiesonly", "no").lower() == "yes",
    )


def _lookup(path: Path, alias: str) -> paramiko.SSHConfigDict:
    try:
        with path.open() as file:
            return paramiko.SSHConfig.from_file(file).lookup(alias)
    except FileNotFoundError:
        return paramiko.SSHConfigDict()
    # UnicodeDecodeError is a ValueError; a Match exec may fail in ways of its own.
    except (OSError, ValueError, ImportError, paramiko.SSHException) as error:
        raise BadConfiguration(f"cannot use {path}: {error}; correct it and try again") from error
