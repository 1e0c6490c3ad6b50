"""What `--on` means: `[Nx]BACKEND[:WHERE]`. Grammar only; nothing is looked up or reached."""

import re
from collections.abc import Sequence

import msgspec
from atex_provision import BadHost, Host

CHOICES = "local, ssh:[USER@]HOST[:PORT][,...]"
LATER = ("podman", "libvirt", "testing-farm")

_POOL = re.compile(
    r"(?:(?P<count>\d{1,6})x)?(?P<backend>[a-z][a-z-]*)(?::(?P<where>.*))?", re.DOTALL
)


class PoolError(ValueError):
    """What `--on` asks for is no pool. The message quotes it and says what a pool looks like."""


class PoolName(msgspec.Struct, frozen=True):
    """What one `--on` asks for."""

    text: str
    """As it was written."""
    backend: str
    """`local` or `ssh`."""
    machines: int
    """How many at a time."""
    hosts: tuple[Host, ...] = ()


def parse_pools(texts: Sequence[str], *, identity: str | None = None) -> list[PoolName]:
    """Return what all `--on` ask for; `identity` is the private key for all hosts.

    Raises PoolError, also where a host is named twice.
    """
    pools = [parse_pool(text, identity=identity) for text in texts]
    named: set[tuple[str, int | None]] = set()
    for pool in pools:
        for host in pool.hosts:
            if (host.address, host.port) in named:
                raise PoolError(
                    f"{pool.text}: {host.name} is there twice; it runs one test at a time"
                )
            named.add((host.address, host.port))
    return pools


def parse_pool(text: str, *, identity: str | None = None) -> PoolName:
    """Return what `text` asks for. Raises PoolError."""
    match = _POOL.fullmatch(text)
    if match is None:
        raise PoolError(f"{text!r} is no pool: choose {CHOICES}")
    backend, where = match["backend"], match["where"]
    count = None if match["count"] is None else int(match["count"])
    if count == 0:
        raise PoolError(f"{text}: a pool of no machines runs nothing")
    if backend == "local":
        if where is not None:
            raise PoolError(f"{text}: local is this machine, nothing follows it")
        return PoolName(text, backend, count or 1)
    if backend == "ssh":
        hosts = _parse_hosts(text, where or "", identity)
        if count not in {None, len(hosts)}:
            raise PoolError(f"{text} asks for {count} machines and names {len(hosts)}")
        return PoolName(text, backend, len(hosts), hosts)
    if backend in LATER:
        raise PoolError(f"{text}: {backend} is not supported yet: choose {CHOICES}")
    raise PoolError(f"{text!r}: there is no pool {backend!r}: choose {CHOICES}")


def _parse_hosts(text: str, where: str, identity: str | None) -> tuple[Host, ...]:
    try:
        return tuple(Host.parse(host, identity=identity) for host in where.split(","))
    except BadHost as error:
        raise PoolError(f"{text}: {error}") from error
