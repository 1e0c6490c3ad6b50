"""Leases that another process made: what a dead one left is given back, what a living one has is borrowed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from atex_provision import (
    Aborted,
    CannotConnect,
    HostPool,
    Lease,
    LeaseError,
    LeaseInUse,
    LeaseJournal,
    LocalProvisioner,
    NoLease,
    ProvisionError,
    SessionNote,
    adopt,
    borrow,
)

from tests.machines import Sshd
from tests.machines.login import host_of
from tests.provision.leases import dead_holder, living_holder, new_lease
from tests.provision.service import Service

# Says when it comes to a step, and stays there.
HOLDER = """
import sys, threading
from pathlib import Path
from tests.provision.service import Served, Service
def during(step):
    if step == sys.argv[2]:
        print(step, flush=True)
        threading.Event().wait()
provisioner = Served(Service(Path(sys.argv[1])), during=during, purpose="a test")
provisioner.on_progress = lambda moment, words: during(moment)
machine = provisioner.reserve()
during("reserved")
"""


@pytest.fixture
def journal() -> LeaseJournal:
    return LeaseJournal()


@pytest.fixture
def service(tmp_path: Path) -> Service:
    (tmp_path / "service").mkdir()
    return Service(tmp_path / "service")


@contextmanager
def holder(service: Service, step: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that has come to `step` of a reservation; killed in the end."""
    command = [sys.executable, "-c", HOLDER, str(service.folder), step]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"{step}\n"
            yield process
        finally:
            process.kill()


@pytest.fixture
def dead(service: Service, journal: LeaseJournal) -> Lease:
    """A lease of a process that died when it had its machine."""
    lease = new_lease(
        "served",
        backend="tests.provision.service:Served",
        resource={"folder": str(service.folder)},
        holder=dead_holder(),
    )
    journal.open(lease)
    service.give(lease.name)
    return lease


@pytest.mark.parametrize("step", ["request", "asked", "connect", "reserved"])
def test_whenever_a_process_is_killed_its_machine_is_found(
    service: Service, journal: LeaseJournal, step: str
) -> None:
    with holder(service, step):
        [lease] = journal.leases()
        with pytest.raises(LeaseInUse, match=r"process \d+ holds lease served-.* \(a test\)"):
            adopt(lease)
    assert not journal.read(lease.name).in_use
    assert len(service.machines) == (step != "request")
    provisioner = adopt(lease)
    provisioner.release()
    assert provisioner.left is None
    assert service.machines == set()
    assert journal.leases() == []


def test_what_is_adopted_is_connected_to(
    service: Service, journal: LeaseJournal, dead: Lease
) -> None:
    provisioner = adopt(dead.name)
    assert journal.read(dead.name).held
    with provisioner as machine:
        assert (machine.lease, machine.lease_end) == (dead.name, dead.ends)
        assert machine.connection.run("echo here").stdout == b"here\n"
        assert provisioner.alive()
        with pytest.raises(LeaseInUse, match=f"process {os.getpid()} holds"):
            adopt(dead)
    assert service.machines == set()
    assert journal.leases() == []


def test_what_is_adopted_stays_when_it_cannot_be_connected_to(
    service: Service, journal: LeaseJournal, dead: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wants to end an agent there has to try again."""

    def fail(self: object, lease: Lease) -> None:
        raise CannotConnect("it is off")

    provisioner = adopt(dead)
    monkeypatch.setattr(type(provisioner), "_connection", fail)
    with pytest.raises(CannotConnect, match="it is off"):
        provisioner.reserve()
    assert journal.read(dead.name).held
    assert service.machines == {dead.name}
    provisioner.release()
    assert service.machines == set()


@pytest.mark.usefixtures("service")
def test_abort_gives_back_what_is_adopted(journal: LeaseJournal, dead: Lease) -> None:
    provisioner = adopt(dead)
    provisioner.abort()
    assert journal.leases() == []
    with pytest.raises(Aborted):
        provisioner.reserve()


def test_what_was_kept_is_adopted_or_borrowed(
    service: Service, journal: LeaseJournal, dead: Lease
) -> None:
    journal.update(dead.name, kept=True, prepared=True)
    borrowed = borrow(dead.name)
    with borrowed as machine:
        assert machine.prepared
        assert borrowed.alive()
        assert borrowed.keep().kept
        borrowed.note_session(SessionNote("a"))
        borrowed.forget_session("a")
    assert service.machines == {dead.name}
    assert journal.leases() == [msgspec.structs.replace(dead, kept=True, prepared=True)]
    adopt(dead).release()
    assert service.machines == set()


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.usefixtures("service")
def test_what_somebody_uses_is_not_taken_from_him(
    journal: LeaseJournal, dead: Lease, kept: bool
) -> None:
    """Whether its holder kept it, or is dead."""
    note = SessionNote("a")
    with living_holder() as user:
        used = msgspec.structs.replace(note, holder=user)
        lease = journal.update(dead.name, kept=kept, sessions=(note, used))
        with pytest.raises(LeaseInUse, match=f"process {user.pid} uses the machine of lease"):
            adopt(dead)
        assert journal.leases() == [lease]
    adopt(dead).release()
    assert journal.leases() == []


def test_what_a_living_process_has_is_borrowed(service: Service, journal: LeaseJournal) -> None:
    with holder(service, "reserved"):
        [lease] = journal.leases()
        provisioner = borrow(lease.name)
        with provisioner as machine:
            assert machine.lease == lease.name
            assert not machine.prepared
        assert not provisioner.alive()
        assert provisioner.left is None
        borrow(lease.name).abort()
        assert journal.leases() == [lease]
        assert service.machines == {lease.name}
    with pytest.raises(LeaseError, match="was left behind by process"):
        borrow(lease.name)
    adopt(lease).release()


def test_what_has_ended_is_not_borrowed(journal: LeaseJournal) -> None:
    lease = new_lease(ends=time.time())
    journal.open(lease)
    with pytest.raises(LeaseError, match="has ended"):
        borrow(lease.name)
    journal.remove(lease.name)


@pytest.mark.parametrize("take", [adopt, borrow])
def test_there_has_to_be_a_lease(take: Callable[[str], object]) -> None:
    with pytest.raises(NoLease):
        take("podman-123456")
    with pytest.raises(NoLease):
        take("../podman-123456")


@pytest.mark.parametrize(
    ("backend", "why"),
    [
        ("no_such_module:Backend", "No module named 'no_such_module'"),
        ("atex_provision:NoSuch", "no attribute 'NoSuch'"),
        ("atex_provision", "cannot be imported"),
        ("os:system", "is no LeasedProvisioner"),
        ("atex_provision:Provisioner", "is no LeasedProvisioner"),
        ("atex_provision:LeasedProvisioner", "is only a base of others"),
        ("atex_provision.provisioner.host:HostProvisioner", "does not know what to do with it"),
        (
            "tests.provision.service:Served",
            r"does not know what to do with it \(KeyError: 'folder'",
        ),
    ],
)
def test_a_backend_that_can_not_be_used(journal: LeaseJournal, backend: str, why: str) -> None:
    """The lease stays as it is, for whoever has the backend."""
    lease = new_lease(backend=backend, holder=dead_holder(), kept=True)
    journal.open(lease)
    with pytest.raises(LeaseError, match=why):
        adopt(lease)
    assert journal.leases() == [lease]
    journal.remove(lease.name)


def test_a_session_is_taken_over(service: Service, journal: LeaseJournal, dead: Lease) -> None:
    """It is noted once, as that of the process that goes on with it."""
    theirs = SessionNote(id="a" * 32, holder=dead_holder())
    journal.update(dead.name, sessions=(theirs,))
    provisioner = adopt(dead.name)
    with provisioner:
        provisioner.note_session(SessionNote(id=theirs.id))
        (note,) = journal.read(dead.name).sessions
        assert note.holder is not None
        assert note.holder.pid == os.getpid()
        provisioner.forget_session(theirs.id)
        assert journal.read(dead.name).sessions == ()


def test_a_slot_of_this_machine_is_adopted(journal: LeaseJournal) -> None:
    """Nobody else gets it meanwhile."""
    lease = new_lease(holder=dead_holder(), resource={"slot": "0"})
    journal.open(lease)
    with adopt(lease) as adopted, LocalProvisioner() as other:
        assert (adopted.slot, other.slot) == ("0", "1")
    with LocalProvisioner() as afterwards:
        assert afterwards.slot == "0"


def test_a_host_of_a_pool_is_adopted(sshd: Sshd, journal: LeaseJournal) -> None:
    """Its lease says how to log in."""
    provisioner = HostPool([host_of(sshd, slots=("3",))]).provisioner()
    name = provisioner.reserve().name
    kept = provisioner.keep()
    provisioner.release()
    adopted = adopt(kept)
    with adopted as machine:
        assert (machine.name, machine.slot) == (name, "3")
        assert kept.login.startswith("ssh ")
        assert adopted.outlives_lease
    with pytest.raises(ProvisionError):
        adopt(kept)
    assert journal.leases() == []
