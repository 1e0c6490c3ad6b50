"""The journal of leases against a model of it: any calls, of processes alive and dead, on a disk that fails."""

import itertools
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest
from atex_provision import (
    Holder,
    JournalError,
    Lease,
    LeaseInUse,
    LeaseJournal,
    LeaseTaken,
    NoLease,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from tests.provision.leases import new_lease

ELSEWHERE = msgspec.structs.replace(Holder.myself(), namespace="pid:[1]")
HOLDERS = st.sampled_from([Holder.myself(), ELSEWHERE, Holder.nobody()])
KEYS = st.sampled_from(["ssh a:22/0", "ssh a:22-0", ""])  # two of one beginning


class Journal(RuleBasedStateMachine):
    """`model` is what should be there."""

    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.journal = LeaseJournal(self.folder)
        self.model: dict[str, Lease] = {}
        self.patch = mock.patch("os.fsync")  # it would only take time here
        self.patch.start()

    def teardown(self) -> None:
        self.patch.stop()
        shutil.rmtree(self.folder)

    @rule(target=names, key=KEYS, holder=HOLDERS, kept=st.booleans(), ended=st.booleans())
    def open(self, key: str, holder: Holder, kept: bool, ended: bool) -> str:
        lease = _lease(key, holder, kept, ended)
        self.try_to_open(lease, [other for other in self.model.values() if _blocks(other, key)])
        return lease.name

    @rule(target=names, key=KEYS, holder=HOLDERS, kept=st.booleans(), ended=st.booleans())
    def take_over(self, key: str, holder: Holder, kept: bool, ended: bool) -> str:
        """Neither what was kept, nor what this process has itself."""
        lease = _lease(key, holder, kept, ended)
        rivals = [other for other in self.model.values() if _blocks(other, key)]
        ours = [other for other in rivals if other.kept or other.holder == Holder.myself()]
        self.try_to_open(lease, ours, take_over=True)
        return lease.name

    def try_to_open(self, lease: Lease, rivals: list[Lease], *, take_over: bool = False) -> None:
        if rivals:
            with pytest.raises(LeaseTaken) as taken:
                self.journal.open(lease, take_over=take_over)
            assert taken.value.other in rivals
        else:
            self.journal.open(lease, take_over=take_over)
            self.model[lease.name] = lease

    @rule(name=names, purpose=st.text())
    def update(self, name: str, purpose: str) -> None:
        try:
            changed = self.journal.update(name, purpose=purpose)
        except NoLease:
            assert name not in self.model
        else:
            assert changed == msgspec.structs.replace(self.model[name], purpose=purpose)
            self.model[name] = changed

    @rule(name=names)
    def claim(self, name: str) -> None:
        lease = self.model.get(name)
        try:
            claimed = self.journal.claim(name)
        except NoLease:
            assert lease is None
        except LeaseInUse:
            assert lease is not None
            assert lease.in_use
            assert not lease.kept
        else:
            assert lease is not None
            assert lease.kept or not lease.in_use
            self.model[name] = msgspec.structs.replace(lease, holder=Holder.myself(), kept=False)
            assert claimed == self.model[name]

    @rule(name=names)
    def remove(self, name: str) -> None:
        self.journal.remove(name)
        self.model.pop(name, None)

    @rule(name=names, calls=st.integers(0, 1), purpose=st.text())
    def update_on_a_disk_that_fails(self, name: str, calls: int, purpose: str) -> None:
        """Old or new, and nothing else."""
        old = self.model.get(name)
        if old is None or old.purpose == purpose:
            return
        new = msgspec.structs.replace(old, purpose=purpose)
        with _failing("fsync", calls), pytest.raises(JournalError, match="Input/output error"):
            self.journal.update(name, purpose=purpose)
        self.model[name] = self.journal.read(name)
        assert self.model[name] == (new if calls else old)

    @rule(calls=st.integers(0, 1))
    def open_on_a_disk_that_fails(self, calls: int) -> None:
        """It is not there."""
        with _failing("fsync", calls), pytest.raises(JournalError, match="Input/output error"):
            self.journal.open(new_lease())

    @rule(content=st.binary(max_size=20))
    def garbage(self, content: bytes) -> None:
        """Is in nobody's way, but for the sentence about it."""
        file = self.folder / "ssh-a-22-0-000000.json"
        file.write_bytes(content)
        assert len(self.journal.problems()) == 1
        assert _by_name(self.journal.leases()) == self.model
        file.unlink()

    @invariant()
    def it_is_as_the_model_has_it(self) -> None:
        assert _by_name(self.journal.leases()) == self.model
        assert self.journal.problems() == []


def _lease(key: str, holder: Holder, kept: bool, ended: bool) -> Lease:
    ends = time.time() + (-1 if ended else 3600)
    return new_lease(key=key, holder=holder, kept=kept, ends=ends)


def _blocks(lease: Lease, key: str) -> bool:
    alive = lease.holder == Holder.myself() or (lease.holder == ELSEWHERE and not lease.ended)
    return bool(key) and lease.key == key and (not lease.ended if lease.kept else alive)


def _by_name(leases: list[Lease]) -> dict[str, Lease]:
    return {lease.name: lease for lease in leases}


def _failing(name: str, after: int) -> Any:
    """The call fails after so many that do not."""
    calls = itertools.count()

    def call(*arguments: object) -> None:
        if next(calls) >= after:
            raise OSError(5, "Input/output error")

    return mock.patch.object(os, name, call)


Journal.TestCase.settings = settings(max_examples=60, stateful_step_count=20)
test_the_journal = Journal.TestCase
