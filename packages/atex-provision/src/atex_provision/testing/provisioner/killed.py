"""Processes that are killed while they reserve a machine, or hold one."""

from collections.abc import Callable, Collection

from atex_provision.leases.adopt import adopt
from atex_provision.leases.journal import LeaseJournal
from atex_provision.provisioner.base import Moment
from atex_provision.testing.provisioner.types import NewChild
from atex_provision.testing.suite import Suite


class Killed(Suite):
    """What is left in the journal is enough to give everything back."""

    __test__ = False

    def test_killed_in_each_moment(
        self, new_child: NewChild, journal: LeaseJournal, moment: Moment
    ) -> None:
        child = new_child(stop_at=moment)
        name = child.come()
        child.kill()
        lease = journal.read(name)
        assert not lease.in_use
        adopted = adopt(lease)
        adopted.release()
        assert adopted.left is None
        assert journal.leases() == []

    def test_killed_when_it_was_reserved(
        self,
        new_child: NewChild,
        journal: LeaseJournal,
        holds: Callable[[], Collection[str]],
    ) -> None:
        child = new_child()
        name = child.come()
        while_alive = len(holds())
        child.kill()
        lease = journal.read(name)
        assert not lease.in_use
        assert lease.machine
        adopted = adopt(name)
        with adopted as machine:
            assert (machine.name, machine.lease) == (lease.machine, name)
            assert machine.connection.run("echo here").stdout == b"here\n"
            assert len(holds()) == while_alive
            assert adopted.alive()
        assert adopted.left is None
        assert journal.leases() == []
