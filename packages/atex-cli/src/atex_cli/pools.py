"""What names a pool: `[Nx]BACKEND[:WHERE]`, or a file instead of WHERE: `[Nx]BACKEND:@FILE`. Grammar only; nothing is
looked up, read or reached.

    N      = a number of machines, from 1 on
    WHERE  = nothing                              local
           | [USER@]HOST[:PORT] {"," ...}         ssh
           | [REGISTRY/]NAME[:TAG][@DIGEST]       podman
           | the name of a lease                  lease

What an image may be called is the grammar of https://pkg.go.dev/github.com/distribution/reference.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from atex_provision import BadHost, Host

NEW = "local, ssh:[USER@]HOST[:PORT][,...], podman:IMAGE"
CHOICES = f"{NEW}, lease:NAME"
LATER = ("libvirt", "testing-farm")

Backend = Literal["local", "ssh", "podman", "lease"]

_POOL = re.compile(
    r"(?:(?P<count>[0-9]{1,6})x)?(?P<backend>[a-z][a-z-]*)(?::(?P<where>.*))?", re.DOTALL
)
_IMAGE = re.compile(
    r"""(?: [a-zA-Z0-9] [a-zA-Z0-9.-]* (?: :[0-9]+ )? / )?
        [a-z0-9]+ (?: [._/-]+ [a-z0-9]+ )*
        (?: : \w [\w.-]{0,127} )?
        (?: @ [a-z0-9]+ : [0-9a-f]{32,} )?""",
    re.VERBOSE | re.ASCII,
)
_LEASE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")


class PoolError(ValueError):
    """What names a pool does not. The message quotes it and says what a pool looks like."""


class PoolName(msgspec.Struct, frozen=True, kw_only=True):
    """A pool, as it was asked for."""

    text: str
    """As it was written."""
    backend: Backend
    machines: int | None = None
    """How many at a time, where that was said."""
    hosts: tuple[Host, ...] = ()
    """Of ssh, where they are named here."""
    image: str = ""
    """Of podman, where it is named here."""
    lease: str = ""
    """Of lease."""
    file: Path | None = None
    """Which describes the pool: of ssh and podman, where it is not described here."""


def parse_pools(texts: Sequence[str]) -> list[PoolName]:
    """Return what all `texts` ask for. Raises PoolError, also for a lease that is named twice."""
    pools = [parse_pool(text) for text in texts]
    leases = [pool.lease for pool in pools if pool.lease]
    for lease in leases:
        if leases.count(lease) > 1:
            raise PoolError(f"lease:{lease} is there twice; it is one machine")
    return pools


def parse_pool(text: str) -> PoolName:
    """Return what `text` asks for. Raises PoolError."""
    match = _POOL.fullmatch(text)
    if match is None:
        raise PoolError(f"{text!r} is no pool: choose {CHOICES}")
    backend, where = match["backend"], match["where"]
    count = None if match["count"] is None else int(match["count"])
    if count == 0:
        raise PoolError(f"{text}: a pool of no machines runs nothing")
    if backend in LATER:
        raise PoolError(f"{text}: {backend} is not supported yet: choose {CHOICES}")
    match backend:
        case "local" if where is not None:
            raise PoolError(f"{text}: local is this machine, nothing follows it")
        case "local":
            return PoolName(text=text, backend="local", machines=count)
        case "ssh" | "podman" if where is not None and where.startswith("@"):
            return PoolName(
                text=text, backend=backend, machines=count, file=_parse_file(text, where)
            )
        case "ssh":
            hosts = _parse_hosts(text, where or "", count)
            return PoolName(text=text, backend="ssh", machines=count, hosts=hosts)
        case "podman":
            image = _parse_image(text, where or "")
            return PoolName(text=text, backend="podman", machines=count, image=image)
        case "lease":
            return PoolName(
                text=text, backend="lease", lease=_parse_lease(text, where or "", count)
            )
    raise PoolError(f"{text!r}: there is no pool {backend!r}: choose {CHOICES}")


def is_image(text: str) -> bool:
    """Return whether an image may be called so."""
    return _IMAGE.fullmatch(text) is not None


def _parse_file(text: str, where: str) -> Path:
    if where == "@" or "\0" in where:
        raise PoolError(f"{text!r}: a file should follow the @")
    return Path(where[1:])


def _parse_hosts(text: str, where: str, count: int | None) -> tuple[Host, ...]:
    try:
        hosts = tuple(Host.parse(host) for host in where.split(","))
    except BadHost as error:
        raise PoolError(f"{text}: {error}") from error
    if count is not None and count > len(hosts):
        raise PoolError(f"{text} asks for {count} machines and names {len(hosts)}")
    return hosts


def _parse_image(text: str, where: str) -> str:
    if not where:
        raise PoolError(f"{text}: name an image, as in podman:fedora:42, or a file: podman:@FILE")
    if "," in where:
        raise PoolError(f"{text}: a pool has one image; ask for each by an --on of its own")
    if not is_image(where):
        hint = "; it is written in small letters" if is_image(where.lower()) else ""
        raise PoolError(f"{text!r}: {where!r} can be no image{hint}")
    return where


def _parse_lease(text: str, where: str, count: int | None) -> str:
    if count is not None:
        raise PoolError(f"{text}: a lease is one machine, leave out the {count}x")
    if not _LEASE.fullmatch(where):
        raise PoolError(f"{text!r}: name a lease, as `atex reserve` prints it: lease:NAME")
    return where
