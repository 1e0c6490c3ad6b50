"""What a killed process left: machines that are taken over, with what runs there, and those that are given back.

A machine is taken over where it was ready, nothing says that it takes no more tests, and its lease is to be had. Where
a test was about to begin, packages for it may be half installed: such a machine is given back, as one that was not
ready.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
from atex_executor import OpenAttempt
from atex_executor.records import timestamp
from atex_fmf import Test
from atex_provision import Lease, LeaseJournal, Provisioner, ProvisionError, adopt, borrow

from atex_orchestrator.asked import MachinePool
from atex_orchestrator.events import MachineFreed, MachineKept, MachineReleased
from atex_orchestrator.garbage import NotGivenBack, give_back_all
from atex_orchestrator.history import History, PastMachine

PATIENCE = 180.0  # seconds in which all must be given back that is not taken over

_log = logging.getLogger(__name__)


class Heritage(msgspec.Struct, frozen=True, kw_only=True):
    """A machine that is taken over."""

    worker: int
    pool: int
    """Its index."""
    provisioner: Provisioner
    """Which has the lease."""
    machine: str
    """Its name in the run."""
    session: str
    marks: Mapping[str, str]
    left: tuple[Test, OpenAttempt] | None
    """What runs there."""


class Estate:
    """All the machines that the processes of a run left. For one thread."""

    def __init__(
        self, history: History, pools: Sequence[MachinePool], journal: LeaseJournal
    ) -> None:
        """Look what there is; nothing is claimed yet. Raises JournalError."""
        self._history = history
        self._journal = journal
        self._room = [pool.size for pool in pools]
        self._pools = {(pool.platform, pool.name): index for index, pool in enumerate(pools)}
        self._leases = {lease.name: lease for lease in journal.leases()}
        names = {machine.lease for machine in self._all_machines()}  # some are nobody's by now
        ours = [
            lease
            for lease in self._leases.values()
            if (lease.holder in history.holders or lease.name in names) and not lease.held
        ]
        self._kept = {lease.name for lease in ours if lease.kept}
        self._ours = {lease.name for lease in ours} - self._kept
        self._freeing: threading.Thread | None = None
        self._held: dict[str, str] = {}  # by lease: why it could not be given back
        self._done: set[str] = set()  # leases of which there was a word

    def kept(self) -> Iterator[MachineKept]:
        """Yield those that were kept on purpose, which nobody could say any more. They stay as they are."""
        for machine in self._history.machines.values():
            if machine.lease in self._kept and not machine.kept:
                machine.kept = True
                yield _kept(machine, self._leases[machine.lease])

    def claim(self, find_test: Callable[[str, int], Test | None]) -> list[Heritage]:
        """Return those that are taken over, of which the history says nothing any more, and whose leases are ours now.

        `find_test` knows tests that may go on, by platform and serial.
        """
        machines = self._history.machines
        heirs = []
        for machine in sorted(machines.values(), key=lambda machine: machine.running is None):
            heritage = self._claim(machine, find_test)
            if heritage is not None:
                heirs.append(heritage)
                self._ours.discard(machine.lease)
                del machines[machine.worker]
                if machine.running is not None:
                    del self._history.unfinished[machine.running]
        return heirs

    def give_back(self) -> None:
        """Begin to give back all others, once."""
        leases = [self._leases[name] for name in sorted(self._ours)]
        if leases and self._freeing is None:
            self._freeing = threading.Thread(
                target=self._free, args=[leases], name="give-back", daemon=True
            )
            self._freeing.start()

    def released(self) -> Iterator[MachineReleased | MachineFreed]:
        """Wait until they are given back, some minutes at most; yield the last that is to be said of each."""
        freeing: set[str] = set()
        if self._freeing is not None:
            self._freeing.join(PATIENCE)
            if self._freeing.is_alive():
                _log.warning("not all machines of a process that is gone could be given back")
                freeing = self._ours - self._done
        for machine in self._all_machines():
            held = self._held.get(machine.lease)
            if machine.lease in freeing:
                held = (
                    f"{machine.lease} is not given back yet; `atex gc {machine.lease}` tries again"
                )
            worker, platform, name = machine.worker, machine.platform, machine.machine
            if worker in self._history.machines:
                yield MachineReleased(worker=worker, platform=platform, machine=name, held=held)
            elif held is None:
                yield MachineFreed(worker=worker, platform=platform, machine=name)

    def _all_machines(self) -> list[PastMachine]:
        """Return all that may be ours; of one that is owed without a lease nothing more can be known."""
        owed = [machine for machine in self._history.owed.values() if machine.lease]
        return [*self._history.machines.values(), *owed]

    def _claim(
        self, machine: PastMachine, find_test: Callable[[str, int], Test | None]
    ) -> Heritage | None:
        lease = self._leases.get(machine.lease)
        pool = self._pools.get((machine.platform, machine.pool))
        if lease is None or pool is None or not self._room[pool] or machine.kept:
            return None
        if not machine.usable or machine.machine is None or not machine.session:
            return None
        left = None
        if machine.running is not None:
            open_attempt = self._history.unfinished[machine.running].left
            if open_attempt is None or open_attempt.begun.session != machine.session:
                return None
            platform, serial, _ = machine.running
            test = find_test(platform, serial)
            if test is None:
                return None
            left = test, open_attempt
        provisioner: Provisioner
        try:
            if lease.name in self._ours:
                provisioner = adopt(lease, journal=self._journal)
            else:
                provisioner = borrow(lease.name, journal=self._journal)
        except ProvisionError as error:
            _log.warning("%s is not taken over: %s", machine.machine, error)
            return None
        self._room[pool] -= 1
        return Heritage(
            worker=machine.worker,
            pool=pool,
            provisioner=provisioner,
            machine=machine.machine,
            session=machine.session,
            marks=machine.marks,
            left=left,
        )

    def _free(self, leases: Sequence[Lease]) -> None:
        """The thread."""
        for lease, outcome in give_back_all(leases, self._journal):
            if isinstance(outcome, NotGivenBack):
                self._held[lease.name] = f"{lease.name} is not given back: {outcome}"
            else:
                _log.info("%s, which a process that is gone had, %s", lease.name, outcome)
            self._done.add(lease.name)


def _kept(machine: PastMachine, lease: Lease) -> MachineKept:
    return MachineKept(
        worker=machine.worker,
        platform=machine.platform,
        machine=machine.machine or lease.machine,
        test=machine.test,
        login=lease.login,
        lease=lease.name,
        until=timestamp(lease.ends),
    )
