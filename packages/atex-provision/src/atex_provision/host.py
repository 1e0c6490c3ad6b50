"""How a host is named and reached over ssh, and what is done to it before somebody gets it."""

import os
import re
from pathlib import Path
from typing import Self

import msgspec

from atex_provision.errors import BadHost

_HOST = re.compile(
    r"""(?: (?P<user> [^@\s]+ ) @ )?
        (?: \[ (?P<bracketed> [^][\s]+ ) ] | (?P<plain> [^][:@\s]+ ) )
        (?: : (?P<port> [0-9]+ ) )?""",
    re.VERBOSE,
)


RENEWAL_TIME = 600.0  # seconds; a large server takes some minutes to boot


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that runs an ssh server.

    What is None here is taken from ~/.ssh/config, or else is what ssh itself would use. Raises
    BadHost for several slots of a host that is reset or rebooted before each lease.
    """

    address: str
    """A name, an alias of ~/.ssh/config, or an IP address."""
    user: str | None = None
    port: int | None = None
    identity: str | None = None
    """The file of the only private key to log in with. Absolute from here on, as who reads it from a
    lease may be in another folder.
    """
    jump: str | None = None
    """The hosts on the way to it, `[USER@]HOST[:PORT][,...]`, the first one first; "none": none.
    Wins over ProxyJump and ProxyCommand of ~/.ssh/config.
    """
    python: str | None = None
    """The python3 to use there, where it is not found by itself."""
    platform: str = ""
    """The name of the kind of machines that it belongs to; "": not said."""
    slots: tuple[str, ...] = ("0",)
    """The names of its slots that may be used, one for each test that it takes at a time."""
    reset: str | None = None
    """A command for a shell of this very machine, before each lease: it brings the host into the
    state that tests expect.
    """
    reset_time: float = RENEWAL_TIME
    """Seconds that `reset` may take."""
    reboot: str | None = None
    """A command for the host itself, before each lease and after `reset`: it reboots the host."""
    reboot_time: float = RENEWAL_TIME
    """Seconds after which the host must be back."""
    name: str = ""
    """For messages; by default as one would write it: user@address:port."""

    def __post_init__(self) -> None:
        """Raises BadHost for a `jump` that names no hosts."""
        parse_hops(self.jump or "none")
        if self.identity:
            key = Path(os.path.expanduser(self.identity)).absolute()
            msgspec.structs.force_setattr(self, "identity", str(key))
        if not self.name:
            msgspec.structs.force_setattr(self, "name", self._written())
        if not self.slots:
            raise BadHost(f"{self.name}: a host without a slot takes no test")
        if len(self.slots) > 1 and (self.reset or self.reboot):
            what = "reset" if self.reset else "reboot"
            raise BadHost(
                f"{self.name}: {what} before a test would hit those in the other slots;"
                f" a host that has it takes one test at a time"
            )

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


def parse_hops(text: str) -> tuple[Host, ...]:
    """The jump hosts that `[USER@]HOST[:PORT][,...]` names, in the order in which they are passed; none for "none".

    Each is reached through those before it, the first one as ~/.ssh/config says. Raises BadHost.
    """
    if text.lower() == "none":
        return ()
    hops: list[Host] = []
    for word in text.split(","):
        hop = Host.parse(word.strip().removeprefix("ssh://"))
        before = ",".join(host.name for host in hops)
        hops.append(msgspec.structs.replace(hop, jump=before or None))
    return tuple(hops)
