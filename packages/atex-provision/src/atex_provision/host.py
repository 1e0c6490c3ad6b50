"""How a host is named and reached over ssh."""

import re
from typing import Self

import msgspec

from atex_provision.errors import BadHost

_HOST = re.compile(
    r"""(?: (?P<user> [^@\s]+ ) @ )?
        (?: \[ (?P<bracketed> [^][\s]+ ) ] | (?P<plain> [^][:@\s]+ ) )
        (?: : (?P<port> [0-9]+ ) )?""",
    re.VERBOSE,
)


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that runs an ssh server.

    What is None here is taken from ~/.ssh/config, or else is what ssh itself would use.
    """

    address: str
    """A name, an alias of ~/.ssh/config, or an IP address."""
    user: str | None = None
    port: int | None = None
    identity: str | None = None
    """The file of the only private key to log in with."""
    python: str | None = None
    """The python3 to use there, where it is not found by itself."""
    slot: str = "0"
    """Which of its slots to use, where it takes several tests at a time."""
    name: str = ""
    """For messages; by default as one would write it: user@address:port."""

    def __post_init__(self) -> None:
        if not self.name:
            msgspec.structs.force_setattr(self, "name", self._written())

    @classmethod
    def parse(cls, text: str, *, identity: str | None = None) -> Self:
        """The host that `[USER@]ADDRESS[:PORT]` names; an IPv6 address with a port stands in
        brackets.

        Raises BadHost.
        """
        match = _HOST.fullmatch(text)
        if match is None:
            hint = (
                "; write an IPv6 address in brackets: [fe80::1]:22" if text.count(":") > 1 else ""
            )
            raise BadHost(
                f"{text!r} names no host: it should look like USER@HOST or USER@HOST:PORT{hint}"
            )
        port = int(match["port"]) if match["port"] else None
        if port is not None and not 0 < port < 2**16:
            raise BadHost(
                f"{text!r} names no host: there is no port {port}, they go from 1 to 65535"
            )
        return cls(
            address=match["bracketed"] or match["plain"],
            user=match["user"],
            port=port,
            identity=identity,
        )

    def _written(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{user}{address}{port}"
