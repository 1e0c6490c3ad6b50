"""Machines that die, leases that end, services that fail."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from atex_provision.errors import Aborted, ConnectionLost, ProvisionError
from atex_provision.leases.journal import LeaseJournal
from atex_provision.machine import Machine
from atex_provision.testing.provisioner.types import NewProvisioner
from atex_provision.testing.suite import Suite, able_to
from atex_provision.testing.waits import PATIENCE, Stopwatch, eventually

ALIVE_TIME = 12.0  # seconds: the 10 that alive() has, and two for a loaded box


class Endings(Suite):
    """Ends that nobody here has called for."""

    __test__ = False

    @able_to("die")
    def test_a_dead_machine_is_not_alive(
        self, new_provisioner: NewProvisioner, kill: Callable[[Machine], None]
    ) -> None:
        provisioner = new_provisioner()
        with provisioner as machine:
            kill(machine)
            with Stopwatch() as took:
                assert not provisioner.alive()
            assert took.seconds < ALIVE_TIME
            with pytest.raises(ConnectionLost):
                machine.connection.run("true")
        assert not provisioner.alive()
        assert provisioner.left is None

    def test_a_lease_ends(self, new_provisioner: NewProvisioner) -> None:
        with Stopwatch() as usual, new_provisioner():
            pass
        duration = 2 * usual.seconds + 1
        provisioner = new_provisioner(duration=duration)
        asked = time.time()
        with provisioner as machine:
            assert machine.lease_end is not None
            assert asked <= machine.lease_end - duration <= time.time()
            alive = provisioner.alive()
            assert alive or time.time() >= machine.lease_end
            eventually(lambda: not provisioner.alive(), "the lease ends", usual.seconds + PATIENCE)
            assert time.time() >= machine.lease_end
        assert provisioner.left is None

    @able_to("fail")
    def test_a_service_that_fails(
        self,
        new_provisioner: NewProvisioner,
        broken: Callable[[], AbstractContextManager[None]],
        journal: LeaseJournal,
    ) -> None:
        """What it may still hold stays in the journal, and is given back when it works again."""
        provisioner = new_provisioner()
        with broken():
            with pytest.raises(ProvisionError) as caught:
                provisioner.reserve()
            assert not isinstance(caught.value, Aborted)
            assert str(caught.value)
            assert not provisioner.alive()
            assert (provisioner.left is None) == (journal.leases() == [])
        provisioner.release()
        assert provisioner.left is None
        assert journal.leases() == []
        with new_provisioner() as machine:
            assert machine.connection.run("true").exit_code == 0
