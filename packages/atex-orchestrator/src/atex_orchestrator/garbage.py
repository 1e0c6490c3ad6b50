"""Leases that nobody holds any more are given back, with all that their processes left on the machines.

A machine that is there after its lease (an ssh host, this very one) still has the agent of the dead process, and what
that runs: they are ended first, by the session that the lease has noted. Other machines go with all that is on them.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from queue import Empty, SimpleQueue

import msgspec
from atex_executor import ExecutorError, Times, discard
from atex_provision import (
    Holder,
    Lease,
    LeasedProvisioner,
    LeaseError,
    LeaseInUse,
    LeaseJournal,
    NoLease,
    Provisioner,
    ProvisionError,
    adopt,
)

_log = logging.getLogger(__name__)

AT_ONCE = 20  # machines
TIMES = Times(patience=1.0)  # seconds: where another session has the slot by now, ours is gone


class NotGivenBack(Exception):
    """A lease could not be given back; it is in the journal as before. The message says why."""


def give_back_all(
    leases: Sequence[Lease], journal: LeaseJournal
) -> Iterator[tuple[Lease, str | NotGivenBack]]:
    """Give the leases back, 20 at once; yield each as it is done, and what is to be said of it.

    Who stops iterating leaves those as they are that have not begun.
    """
    todo: SimpleQueue[Lease] = SimpleQueue()
    done: SimpleQueue[tuple[Lease, str | NotGivenBack]] = SimpleQueue()
    for lease in leases:
        todo.put(lease)

    def work() -> None:
        while True:
            try:
                lease = todo.get_nowait()
            except Empty:
                return
            try:
                done.put((lease, give_back(lease, journal)))
            except NotGivenBack as error:
                done.put((lease, error))
            # A backend may be anybody's code, and whoever iterates waits for a word of each lease.
            except Exception as error:
                _log.exception("%s", lease.name)
                done.put((lease, NotGivenBack(f"{type(error).__name__}: {error}")))

    for number in range(min(AT_ONCE, len(leases))):
        threading.Thread(target=work, name=f"gc-{number}", daemon=True).start()
    for _ in leases:
        yield done.get()


def give_back(lease: Lease, journal: LeaseJournal) -> str:
    """End what the lease's process left on the machine, and give the machine back; return what is to be said of it.

    One that is gone by now, or that somebody else gives back, is no error. Takes a minute or two at most. Any thread.
    Raises NotGivenBack.
    """
    try:
        provisioner = adopt(lease, journal=journal)
        if provisioner.outlives_lease and lease.sessions:
            _end_sessions(lease, provisioner)
        provisioner.release()
    except NoLease:
        return "was given back by somebody else"
    except LeaseInUse as error:
        return f"is left to somebody else: {error}"
    except (ProvisionError, ExecutorError, TimeoutError) as error:
        raise NotGivenBack(str(error)) from error
    if provisioner.left is not None:
        raise NotGivenBack(provisioner.left)
    return "is given back"


def free_at_last(provisioner: Provisioner) -> bool:
    """Try again to give back what `provisioner.release()` could not; return whether nothing is held any more.

    What still is stays for `atex gc`. Takes a minute or two at most. Any thread.
    """
    if not isinstance(provisioner, LeasedProvisioner):
        provisioner.release()
        return provisioner.left is None
    journal = provisioner.journal
    return not [name for name in provisioner.leases_left if not _free(name, journal)]


def _free(name: str, journal: LeaseJournal) -> bool:
    try:
        give_back(journal.read(name), journal)
    except NoLease:
        return True
    except (NotGivenBack, ProvisionError) as error:
        _log.info("%s is still not given back: %s", name, error)
    else:
        return True
    with contextlib.suppress(LeaseError):  # gc need not wait for the end of this process
        journal.amend(name, _of_nobody)
    return False


def _of_nobody(lease: Lease) -> Lease:
    ours = lease.holder == Holder.myself()
    return msgspec.structs.replace(lease, holder=Holder.nobody()) if ours else lease


def _end_sessions(lease: Lease, provisioner: LeasedProvisioner) -> None:
    connection = provisioner.reserve().connection
    try:
        for note in lease.sessions:
            left = discard(
                connection,
                note.id,
                times=TIMES,
                become=note.become,
                python=note.python,
                work=note.work,
            )
            if left is not None:
                raise NotGivenBack(left)
            provisioner.forget_session(note.id)
    finally:
        connection.close()
