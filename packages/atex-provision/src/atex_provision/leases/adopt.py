"""Leases that another process made: taken over, or used beside it."""

import importlib
import inspect
import operator

from atex_provision.errors import LeaseError
from atex_provision.leases.journal import LeaseJournal
from atex_provision.leases.lease import Lease
from atex_provision.provisioner.base import Provisioner
from atex_provision.provisioner.leased import LeasedProvisioner


def adopt(lease: Lease | str, *, journal: LeaseJournal | None = None) -> LeasedProvisioner:
    """Takes over the lease of a dead process, or one that was kept; from here on it is ours.

    The provisioner's reserve() connects to the machine again, and asks for none; if that fails the
    lease stays ours. release() frees the machine, with or without a reserve() before.

    Raises NoLease, LeaseInUse, JournalError, and LeaseError if its backend cannot be found or does
    not know what to do with it; then it is as it was.
    """
    journal = journal or LeaseJournal()
    name = lease if isinstance(lease, str) else lease.name
    provisioner = _provisioner_of(journal.read(name), journal)
    provisioner._take(journal.claim(name), ours=True)
    return provisioner


def borrow(name: str, *, journal: LeaseJournal | None = None) -> Provisioner:
    """Uses a machine that somebody else's process holds, or that was kept.

    The provisioner's reserve() connects to the machine; release() only closes the connection.
    Whoever holds the lease may end it at any time. What keeps two borrowers apart is the agent's
    owner lock of the machine's slot.

    Raises NoLease, JournalError, and LeaseError if the lease is not in use any more, or its backend
    cannot be found or does not know what to do with it.
    """
    journal = journal or LeaseJournal()
    lease = journal.read(name)
    if not lease.in_use or lease.ended:
        raise LeaseError(
            f"lease {name} has ended" if lease.ended else f"{lease.held_by()}, which has ended"
        )
    provisioner = _provisioner_of(lease, journal)
    provisioner._take(lease, ours=False)
    return provisioner


def _provisioner_of(lease: Lease, journal: LeaseJournal) -> LeasedProvisioner:
    backend = _find_backend(lease)
    try:
        return backend._of(lease, journal)
    # It may be anybody's code, and the lease of another version of it.
    except Exception as error:
        raise LeaseError(
            f"lease {lease.name}: its backend {lease.backend} does not know what to do with it"
            f" ({type(error).__name__}: {error})"
        ) from error


def _find_backend(lease: Lease) -> type[LeasedProvisioner]:
    module, _, name = lease.backend.partition(":")
    try:
        backend = operator.attrgetter(name)(importlib.import_module(module))
    # Any code may run in an import, and fail in any way.
    except Exception as error:
        raise LeaseError(
            f"lease {lease.name}: its backend {lease.backend} cannot be imported here ({error});"
            " do it where the code is that asked for it"
        ) from error
    if not isinstance(backend, type) or not issubclass(backend, LeasedProvisioner):
        raise LeaseError(f"lease {lease.name}: its backend {lease.backend} is no LeasedProvisioner")
    if inspect.isabstract(backend):
        raise LeaseError(
            f"lease {lease.name}: its backend {lease.backend} is only a base of others"
        )
    return backend
