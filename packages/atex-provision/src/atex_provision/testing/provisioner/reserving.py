"""One machine, from the request to the release, when all goes well; and many at once."""

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import ClassVar

import pytest

from atex_provision.errors import Aborted, ConnectionLost, JournalError, ProvisionError
from atex_provision.leases.holder import Holder
from atex_provision.leases.journal import LeaseJournal
from atex_provision.provisioner.base import Moment
from atex_provision.provisioner.leased import DAY
from atex_provision.testing.provisioner.types import NewProvisioner
from atex_provision.testing.suite import Suite
from atex_provision.testing.waits import Background

ALL_AT_ONCE = 120.0  # seconds that the slowest of many has, on a loaded box


class Reserving(Suite):
    """Machines that are reserved, used and released."""

    __test__ = False
    moments: ClassVar[tuple[Moment, ...]]
    at_once: ClassVar[int]

    def test_reserve_use_and_release(self, new_provisioner: NewProvisioner, tmp_path: Path) -> None:
        provisioner = new_provisioner()
        assert not provisioner.alive()
        machine = provisioner.reserve()
        assert provisioner.alive()
        connection = machine.connection
        assert connection.run("cat; echo here", stdin=b"was ").stdout == b"was here\n"
        there = connection.run("mktemp").stdout.decode().strip()
        source, back = tmp_path / "source", tmp_path / "back"
        source.write_bytes(os.urandom(100_000))
        connection.upload(source, there)
        connection.download(there, back)
        connection.run(f"rm {there}")
        assert back.read_bytes() == source.read_bytes()
        provisioner.release()
        provisioner.release()
        provisioner.abort()
        assert provisioner.left is None
        assert not provisioner.alive()
        with pytest.raises(ConnectionLost):
            connection.run("true")

    def test_a_machine_says_what_it_is(self, new_provisioner: NewProvisioner) -> None:
        with new_provisioner() as machine:
            assert machine.name
            assert machine.name.isprintable()
            assert machine.marks == {}
            said = machine.connection.run("uname -m; uname -r").stdout.decode().split()
            assert [machine.facts.arch, machine.facts.kernel] == said
            assert machine.facts.cores
            assert machine.facts.memory
            assert not machine.prepared

    def test_a_context_manager_releases_also_after_an_error(
        self, new_provisioner: NewProvisioner, journal: LeaseJournal
    ) -> None:
        provisioner = new_provisioner()

        def use() -> None:
            with provisioner as machine:
                assert machine.connection.run("true").exit_code == 0
                raise KeyError

        with pytest.raises(KeyError):
            use()
        assert not provisioner.alive()
        assert journal.leases() == []

    def test_the_lease_is_there_before_the_machine_is_asked_for(
        self,
        new_provisioner: NewProvisioner,
        journal: LeaseJournal,
        holds: Callable[[], Collection[str]],
    ) -> None:
        seen: list[tuple[list[str], int]] = []

        def look(moment: Moment, words: str) -> None:
            if moment == "request":
                seen.append(([lease.name for lease in journal.leases()], len(holds())))

        provisioner = new_provisioner()
        provisioner.on_progress = look
        asked = time.time()
        with provisioner as machine:
            assert seen == [([machine.lease], 0)]
            (lease,) = journal.leases()
            assert lease.name == machine.lease
            assert lease.machine == machine.name
            assert lease.ends == machine.lease_end
            assert asked <= lease.ends - DAY <= time.time()
            assert lease.login == machine.connection.login
            assert lease.holder == Holder.myself()
            assert lease.in_use
        assert journal.leases() == []

    def test_without_a_journal_nothing_is_asked_for(
        self,
        new_provisioner: NewProvisioner,
        journal: LeaseJournal,
        holds: Callable[[], Collection[str]],
    ) -> None:
        journal.folder.parent.mkdir(parents=True, exist_ok=True)
        journal.folder.write_text("no folder")
        try:
            with pytest.raises(JournalError):
                new_provisioner().reserve()
            assert not holds()
        finally:
            journal.folder.unlink()

    def test_on_progress_hears_each_moment(self, new_provisioner: NewProvisioner) -> None:
        heard: list[Moment] = []

        def hear(moment: Moment, words: str) -> None:
            assert words
            heard.append(moment)

        provisioner = new_provisioner()
        provisioner.on_progress = hear
        with provisioner:
            # It may have to wait at any time, if only for what others do.
            assert tuple(dict.fromkeys(m for m in heard if m != "wait")) == self.moments
            count = len(heard)
        assert len(heard) == count

    def test_what_on_progress_raises_ends_the_reservation(
        self, new_provisioner: NewProvisioner, moment: Moment
    ) -> None:
        def fail(now: Moment, words: str) -> None:
            if now == moment:
                raise KeyError(moment)

        provisioner = new_provisioner()
        provisioner.on_progress = fail
        with pytest.raises(KeyError):
            provisioner.reserve()
        assert not provisioner.alive()

    def test_a_provisioner_reserves_once(self, new_provisioner: NewProvisioner) -> None:
        provisioner = new_provisioner()
        with provisioner, pytest.raises(ProvisionError, match="once"):
            provisioner.reserve()
        with pytest.raises(Aborted):
            provisioner.reserve()

    def test_many_at_once(
        self,
        new_provisioner: NewProvisioner,
        journal: LeaseJournal,
        holds: Callable[[], Collection[str]],
    ) -> None:
        provisioners = [new_provisioner() for _ in range(self.at_once)]
        reserving = [Background(provisioner.reserve) for provisioner in provisioners]
        try:
            machines = [thread.result(ALL_AT_ONCE) for thread in reserving]
            count = self.at_once
            assert len({(machine.name, machine.slot) for machine in machines}) == count
            assert {machine.lease for machine in machines} == {
                lease.name for lease in journal.leases()
            }
            assert len({machine.lease for machine in machines}) == count
            asked = "be asked what it holds" not in self.cannot
            assert len(holds()) == (count if asked else 0)
            running = [
                Background(lambda machine=machine: machine.connection.run("true"))  # type: ignore[misc]
                for machine in machines
            ]
            assert all(thread.result().exit_code == 0 for thread in running)
            machines[0].marks["seen"] = "yes"
            assert machines[-1].marks == {}
        finally:
            releasing = [Background(provisioner.release) for provisioner in provisioners]
            for thread in releasing:
                thread.result(ALL_AT_ONCE)
        assert all(provisioner.left is None for provisioner in provisioners)
