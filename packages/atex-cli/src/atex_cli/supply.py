"""What the name of a pool stands for: machines of which kind, how many at a time, and who gets them.

Files and leases are read here; no machine is asked for.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import msgspec
from atex_provision import (
    BadInventory,
    Host,
    HostKeys,
    HostPool,
    Inventory,
    JournalError,
    LeaseJournal,
    LocalProvisioner,
    NoLease,
    Platform,
    PodmanProvisioner,
    Provisioner,
    SshConnection,
    borrow,
    image_context,
    local_platform,
    read_inventory,
)

from atex_cli.podman_pool import PodmanPool, read_podman_pool
from atex_cli.pools import PoolError, PoolName, parse_pools

Context = Mapping[str, tuple[str, ...]]
Factory = Callable[[], Provisioner]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same for all machines that are asked for."""

    duration: float
    """Seconds until their leases end."""
    purpose: str
    """What they are for, in words."""
    take_over: bool = False
    """Whether that somebody else uses one is no obstacle."""
    host_keys: HostKeys = "new"
    """Which keys of ssh hosts are accepted."""


class Supply(msgspec.Struct, frozen=True, kw_only=True):
    """Machines of one kind, of one pool."""

    pool: str
    """As it was asked for."""
    kind: str
    """What their platform is called where nobody named it: the backend's name."""
    platform: str = ""
    """The name of their platform, where somebody gave one."""
    context: Context
    """What is known of them before there is one: an fmf context."""
    machines: int
    """How many at a time."""
    open: Callable[[Terms], Factory]
    """Returns who gets one of them, each time that it is called."""


def find_supplies(texts: Sequence[str], *, identity: str | None = None) -> list[Supply]:
    """Return what the pools that `texts` name stand for; `identity` is the private key for all hosts.

    Raises PoolError: also for a file that can not be used, for a lease that nobody holds, and for a host that is named
    twice.
    """
    pools = parse_pools(texts)
    inventories = {
        pool.text: _read_hosts(pool, identity) for pool in pools if pool.backend == "ssh"
    }
    _check_unique(inventories)
    supplies: list[Supply] = []
    for pool in pools:
        match pool.backend:
            case "local":
                supplies.append(_local(pool))
            case "ssh":
                supplies += _ssh(pool, inventories[pool.text])
            case "podman":
                supplies.append(_podman(pool))
            case "lease":
                supplies.append(_lease(pool))
    return supplies


def _local(pool: PoolName) -> Supply:
    return Supply(
        pool=pool.text,
        kind="local",
        context=local_platform().context,
        machines=pool.machines or 1,
        open=lambda terms: partial(
            LocalProvisioner, duration=terms.duration, purpose=terms.purpose
        ),
    )


def _ssh(pool: PoolName, inventory: Inventory) -> Iterator[Supply]:
    """Yield the hosts by their platforms; so many at a time as they have slots, if not fewer are wanted."""
    platforms: dict[str, list[Host]] = defaultdict(list)
    for host in inventory.hosts:
        platforms[host.platform].append(host)
    slots = {name: sum(len(host.slots) for host in hosts) for name, hosts in platforms.items()}
    if pool.machines is not None and pool.machines > sum(slots.values()):
        raise PoolError(
            f"{pool.text} asks for {pool.machines} machines, and there are {sum(slots.values())}"
        )
    for name, hosts in platforms.items():
        yield Supply(
            pool=pool.text,
            kind="ssh",
            platform=name,
            context=inventory.contexts.get(name, {}),
            machines=min(pool.machines or slots[name], slots[name]),
            open=partial(_open_hosts, hosts),
        )


def _open_hosts(hosts: Sequence[Host], terms: Terms) -> Factory:
    return HostPool(
        hosts,
        connection=partial(SshConnection, host_keys=terms.host_keys),
        take_over=terms.take_over,
        duration=terms.duration,
        purpose=terms.purpose,
    ).provisioner


def _read_hosts(pool: PoolName, identity: str | None) -> Inventory:
    """Return the hosts of a pool, and the contexts of their platforms, where these are known."""
    inventory = Inventory(hosts=pool.hosts, contexts={})
    if pool.file is not None:
        try:
            inventory = read_inventory(pool.file)
        except BadInventory as error:
            raise PoolError(str(error)) from error
    if identity is None:
        return inventory
    hosts = tuple(msgspec.structs.replace(host, identity=identity) for host in inventory.hosts)
    return msgspec.structs.replace(inventory, hosts=hosts)


def _check_unique(inventories: Mapping[str, Inventory]) -> None:
    """Raise PoolError for a host that two pools have, or one pool twice."""
    named: set[tuple[str, int | None]] = set()
    for pool, inventory in inventories.items():
        for host in inventory.hosts:
            if (host.address, host.port) in named:
                raise PoolError(f"{pool}: {host.name} is there twice; it is one machine")
            named.add((host.address, host.port))


def _podman(pool: PoolName) -> Supply:
    described = PodmanPool(image=pool.image) if pool.file is None else read_podman_pool(pool.file)
    return Supply(
        pool=pool.text,
        kind="podman",
        platform=described.platform,
        context={**image_context(described.image), **described.dimensions},
        machines=pool.machines or described.machines,
        open=lambda terms: partial(
            PodmanProvisioner,
            described.image,
            systemd=described.systemd,
            volumes=described.volumes,
            network=described.network,
            privileged=described.privileged,
            prepare=described.prepare,
            duration=terms.duration,
            purpose=terms.purpose,
        ),
    )


def _lease(pool: PoolName) -> Supply:
    """A machine that is held by a process that lives, or that was kept."""
    journal = LeaseJournal()
    try:
        lease = journal.read(pool.lease)
    except NoLease as error:
        there = ", ".join(lease.name for lease in journal.leases() if lease.in_use)
        raise PoolError(f"{pool.text}: {error}; there are: {there or 'none'}") from error
    except JournalError as error:
        raise PoolError(f"{pool.text}: {error}") from error
    if not lease.in_use:
        raise PoolError(f"{pool.text}: {lease.held_by()}; `atex gc` gives it back")
    platform = lease.platform or Platform("lease")
    return Supply(
        pool=pool.text,
        kind=platform.name,
        context=platform.context,
        machines=1,
        open=lambda terms: partial(borrow, lease.name),
    )
