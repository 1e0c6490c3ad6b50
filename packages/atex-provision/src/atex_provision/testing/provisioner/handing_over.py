"""Machines that outlive their process on purpose, and those of other processes."""

from collections.abc import Callable, Collection

import pytest

from atex_provision.errors import ConnectionLost, LeaseInUse, NoLease
from atex_provision.leases.adopt import adopt, borrow
from atex_provision.leases.journal import LeaseJournal
from atex_provision.testing.provisioner.types import NewChild, NewProvisioner
from atex_provision.testing.suite import Suite, able_to


class HandingOver(Suite):
    """keep(), adopt(), borrow(), and processes side by side."""

    __test__ = False

    @able_to("be kept")
    def test_a_kept_machine_is_adopted(
        self,
        new_provisioner: NewProvisioner,
        journal: LeaseJournal,
        holds: Callable[[], Collection[str]],
    ) -> None:
        provisioner = new_provisioner()
        with provisioner as machine:
            note = machine.connection.run("mktemp").stdout.decode().strip()
            while_held = len(holds())
            kept = provisioner.keep()
        with pytest.raises(ConnectionLost):
            machine.connection.run("true")
        assert (kept.name, kept.machine, kept.kept) == (machine.lease, machine.name, True)
        assert journal.read(kept.name) == kept
        assert len(holds()) == while_held
        adopted = adopt(kept)
        assert journal.read(kept.name).kept is False
        with adopted as again:
            assert (again.name, again.lease) == (machine.name, machine.lease)
            assert again.connection.run(f"rm {note}").exit_code == 0
            assert adopted.alive()
        assert journal.leases() == []

    @able_to("be kept")
    def test_what_is_kept_is_given_back_unseen(
        self, new_provisioner: NewProvisioner, journal: LeaseJournal
    ) -> None:
        """Nobody connects to it any more."""
        provisioner = new_provisioner()
        with provisioner:
            kept = provisioner.keep()
        adopt(kept.name).release()
        assert journal.leases() == []
        with pytest.raises(NoLease):
            adopt(kept.name)

    def test_a_machine_of_another_process_is_borrowed(
        self, new_child: NewChild, journal: LeaseJournal
    ) -> None:
        child = new_child()
        name = child.come()
        lease = journal.read(name)
        with pytest.raises(LeaseInUse):
            adopt(name)
        borrower = borrow(name)
        with borrower as machine:
            assert machine.connection.run("echo here").stdout == b"here\n"
            assert (machine.name, machine.lease) == (lease.machine, name)
            assert borrower.alive()
        assert not borrower.alive()
        with pytest.raises(ConnectionLost):
            machine.connection.run("true")
        assert journal.read(name) == lease
        assert child.ask("alive") == "True"
        assert child.ask("release") == "None"

    def test_two_processes_side_by_side(
        self, new_provisioner: NewProvisioner, new_child: NewChild, journal: LeaseJournal
    ) -> None:
        child = new_child()
        provisioner = new_provisioner()
        with provisioner as ours:
            theirs = child.come()
            assert theirs != ours.lease
            assert {lease.name for lease in journal.leases()} == {theirs, ours.lease}
            assert child.ask("release") == "None"
            assert provisioner.alive()
            assert [lease.name for lease in journal.leases()] == [ours.lease]
