"""abort() and release(): before, in each moment of reserve(), at random, from anywhere."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

import pytest

from atex_provision.errors import Aborted, ConnectionLost
from atex_provision.leases.journal import LeaseJournal
from atex_provision.machine import Machine
from atex_provision.provisioner.base import Moment, Provisioner
from atex_provision.testing.provisioner.types import NewProvisioner
from atex_provision.testing.suite import Suite, able_to
from atex_provision.testing.waits import PATIENCE, Background, Stopwatch, eventually

PROMPT = 6.0  # seconds: the 5 that reserve() and abort() have, and one for a loaded box
ATTEMPTS = 5
THREADS = 8


class Aborting(Suite):
    """Reservations that come to an early end."""

    __test__ = False

    @pytest.mark.parametrize("end", ["abort", "release"])
    def test_what_is_over_before_it_began_is_aborted(
        self, new_provisioner: NewProvisioner, end: str
    ) -> None:
        heard: list[Moment] = []
        provisioner = new_provisioner()
        provisioner.on_progress = lambda moment, words: heard.append(moment)
        getattr(provisioner, end)()
        getattr(provisioner, end)()
        with pytest.raises(Aborted):
            provisioner.reserve()
        assert not heard
        assert not provisioner.alive()

    def test_abort_from_within_each_moment(
        self, new_provisioner: NewProvisioner, moment: Moment
    ) -> None:
        _end_in(moment, new_provisioner(), lambda provisioner: provisioner.abort())

    def test_others_end_it_in_each_moment(
        self, new_provisioner: NewProvisioner, moment: Moment
    ) -> None:
        endings: list[Background[None]] = []

        def end(provisioner: Provisioner) -> None:
            endings.extend([Background(provisioner.abort), Background(provisioner.release)])

        _end_in(moment, new_provisioner(), end)
        for ending in endings:
            ending.result(PROMPT)

    def test_abort_at_random(self, new_provisioner: NewProvisioner, journal: LeaseJournal) -> None:
        """It wins or reserve() does; nothing is held in either case."""
        with Stopwatch() as usual, new_provisioner():
            pass
        for _ in range(ATTEMPTS):
            delay = random.uniform(0, usual.seconds)
            provisioner = new_provisioner()
            reserving = Background(provisioner.reserve)
            reserving.ended(delay)
            with Stopwatch() as took:
                provisioner.abort()
                with suppress(Aborted):
                    reserving.result()
            assert took.seconds < PROMPT, f"abort after {delay:.3f} s"
            assert not provisioner.alive()
            eventually(lambda: not journal.leases(), "the lease goes")

    @able_to("be full")
    @pytest.mark.parametrize("end", ["abort", "release"])
    def test_abort_while_it_waits(
        self,
        new_provisioner: NewProvisioner,
        full: Callable[[], AbstractContextManager[None]],
        end: str,
    ) -> None:
        with full():
            provisioner = new_provisioner()
            reserving = _wait_for_machine(provisioner)
            with Stopwatch() as took:
                getattr(provisioner, end)()
                with pytest.raises(Aborted):
                    reserving.result()
            assert took.seconds < PROMPT
        with new_provisioner() as machine:  # what was waited for is not lost
            assert machine.connection.run("true").exit_code == 0

    @able_to("be full")
    def test_who_waits_gets_what_comes_free(
        self, new_provisioner: NewProvisioner, full: Callable[[], AbstractContextManager[None]]
    ) -> None:
        provisioner = new_provisioner()
        with full():
            reserving = _wait_for_machine(provisioner)
        try:
            assert reserving.result().connection.run("true").exit_code == 0
            assert provisioner.alive()
        finally:
            provisioner.release()

    @pytest.mark.parametrize("end", ["abort", "release"])
    def test_a_machine_in_use_is_taken_away(
        self, new_provisioner: NewProvisioner, end: str
    ) -> None:
        provisioner = new_provisioner()
        machine = provisioner.reserve()
        running = Background(lambda: machine.connection.run("while echo; do sleep 0.1; done"))
        try:
            with machine.connection.open("cat") as channel:
                assert not running.ended(0.05)
                with Stopwatch() as took:
                    getattr(provisioner, end)()
                    with pytest.raises(ConnectionLost):
                        running.result()
                with pytest.raises(ConnectionLost):
                    channel.receive(1, 0)
        finally:
            provisioner.release()
        assert took.seconds < PROMPT
        assert not provisioner.alive()

    def test_any_number_of_threads_may_end_it(self, new_provisioner: NewProvisioner) -> None:
        for reserved in (False, True):
            provisioner = new_provisioner()
            reserving = Background(provisioner.reserve)
            if reserved:
                reserving.result()
            ending = [
                Background(provisioner.abort if number % 2 else provisioner.release)
                for number in range(THREADS)
            ]
            for thread in ending:
                thread.result()
            if not reserved:
                with pytest.raises(Aborted):
                    reserving.result()
            assert not provisioner.alive()
            assert provisioner.left is None


def _end_in(moment: Moment, provisioner: Provisioner, end: Callable[[Provisioner], None]) -> None:
    """Reserves, and calls `end` at that moment, in the thread of the reservation."""
    began: list[float] = []

    def watch(now: Moment, words: str) -> None:
        if now == moment and not began:
            began.append(time.monotonic())
            end(provisioner)

    provisioner.on_progress = watch
    with pytest.raises(Aborted):
        provisioner.reserve()
    assert began, f"the reservation had no moment {moment!r}"
    assert time.monotonic() - began[0] < PROMPT
    assert not provisioner.alive()


def _wait_for_machine(provisioner: Provisioner) -> Background[Machine]:
    """Reserves in the background; returns when it waits."""
    waits = threading.Event()
    provisioner.on_progress = lambda moment, words: waits.set() if moment == "wait" else None
    reserving = Background(provisioner.reserve)
    assert waits.wait(PATIENCE), "on_progress hears of no wait"
    assert not reserving.ended()
    return reserving
