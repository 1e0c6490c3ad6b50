"""A fixed set of hosts, dealt out to whoever asks."""

import contextlib
from collections.abc import Callable, Sequence

from atex_provision.connection.base import Connection
from atex_provision.connection.ssh import SshConnection
from atex_provision.errors import BadConfiguration, BadHost
from atex_provision.host import Host
from atex_provision.leases.journal import LeaseJournal
from atex_provision.provisioner.base import Provisioner
from atex_provision.provisioner.host import HostProvisioner
from atex_provision.provisioner.leased import DAY
from atex_provision.provisioner.queue import HostQueue
from atex_provision.ssh.config import find_target

PAUSE = 30.0  # seconds
PATIENCE = 3600.0  # seconds


class HostPool:
    """Hosts that are there already. Any thread, any number of processes.

    `provisioner` is a factory. Each of its provisioners gets a slot of a host to itself, the one that
    has been free for longest; it waits where all are in use, also by other processes of this user.
    A host that fails is set aside for a while, and another one is tried. Where all have failed, those
    that were had before are waited for: the network may be away. If none ever was, nobody waits.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        *,
        connection: Callable[[Host], Connection] = SshConnection,
        duration: float = DAY,
        purpose: str = "",
        journal: LeaseJournal | None = None,
        take_over: bool = False,
        pause: float = PAUSE,
        patience: float = PATIENCE,
    ) -> None:
        """`duration`, `purpose`, `journal`: of each lease, as for any LeasedProvisioner. `take_over`:
        hosts that other processes have are used nevertheless, unless they are kept. `pause`: seconds
        for which a host that has failed is left alone; each further failure doubles it, up to 20
        times as long. `patience`: seconds from its first failure in a row for which a host that was
        reserved before is waited for where no other one can be had; by default an hour, which is what
        an agent goes on for without its host. What a human has to mend is not waited for.

        Raises BadHost if there is no host, or one is listed twice.
        """
        if not hosts:
            raise BadHost("a pool needs at least one host")
        _check_unique(hosts)
        self._make_connection = connection
        self._duration = duration
        self._purpose = purpose
        self._journal = journal
        self._take_over = take_over
        self._queue = HostQueue(hosts, pause, patience)

    def provisioner(self) -> Provisioner:
        """A new provisioner, for one machine of the pool."""
        return HostProvisioner(
            self._queue,
            connection=self._make_connection,
            take_over=self._take_over,
            duration=self._duration,
            purpose=self._purpose,
            journal=self._journal,
        )


def _check_unique(hosts: Sequence[Host]) -> None:
    """Raises BadHost."""
    seen: set[object] = set()
    for host in hosts:
        marks: set[object] = {host.name}
        with contextlib.suppress(BadConfiguration):  # then it fails when it is its turn
            place = find_target(host).place
            marks |= {(place, slot) for slot in host.slots}
        if marks & seen:
            raise BadHost(
                f"a pool has each host once; listed again: {host.name} (its slots say how many"
                " tests it takes at a time)"
            )
        seen |= marks
