"""What the name of a pool stands for: machines of which kind, how many at a time, and who gets them.

Files and leases are read here; no machine is asked for.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec
from atex_provision import Host, HostPool, LocalProvisioner, Provisioner, local_platform

from atex_cli.pools import PoolError, PoolName, parse_pools

Context = Mapping[str, tuple[str, ...]]
Factory = Callable[[], Provisioner]


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """Machines of one kind, of one pool."""

    pool: str
    """As it was asked for."""
    kind: str
    """What machines of it are called where nobody named their platform: the backend's name."""
    platform: str = ""
    """The name of their platform, where somebody gave one."""
    context: Context
    """What is known of them before there is one: an fmf context."""
    machines: int
    """How many at a time."""
    factory: Factory
    """Returns who gets one of them."""


def find_supplies(texts: Sequence[str], *, identity: str | None = None) -> list[Supply]:
    """Return what the pools that `texts` name stand for; `identity` is the private key for all hosts.

    Raises PoolError, also where a host is named twice.
    """
    pools = parse_pools(texts)
    _check_hosts(pools)
    return [supply for pool in pools for supply in _supplies_of(pool, identity)]


def _supplies_of(pool: PoolName, identity: str | None) -> Iterator[Supply]:
    match pool.backend:
        case "local":
            yield Supply(
                pool=pool.text,
                kind="local",
                context=local_platform().context,
                machines=pool.machines or 1,
                factory=LocalProvisioner,
            )
        case "ssh":
            for host in pool.hosts:
                yield Supply(
                    pool=f"ssh:{host.name}",
                    kind="ssh",
                    context={},
                    machines=1,
                    factory=HostPool([_with_identity(host, identity)]).provisioner,
                )
        case _:
            raise PoolError(f"{pool.text}: {pool.backend} is not supported yet")


def _with_identity(host: Host, identity: str | None) -> Host:
    return msgspec.structs.replace(host, identity=identity) if identity else host


def _check_hosts(pools: Iterable[PoolName]) -> None:
    named: set[tuple[str, int | None]] = set()
    for pool in pools:
        for host in pool.hosts:
            if (host.address, host.port) in named:
                raise PoolError(
                    f"{pool.text}: {host.name} is there twice; it runs one test at a time"
                )
            named.add((host.address, host.port))
