"""How long a run may last, by a clock that is handed in: against a model that counts every second."""

import time

import pytest
from atex_sut_agent.sut.clock import Limit, now
from atex_sut_agent.sut.durations import LONGEST
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

SECONDS = st.integers(0, 1000)  # whole ones: their sums are exact


class LimitMachine(RuleBasedStateMachine):
    """The model's clock ticks; that of Limit is a number that is handed in."""

    def __init__(self) -> None:
        super().__init__()
        self.present = 5000.0
        self.limit = Limit(100.0, self.present)
        self.allowed = 100.0
        self.used = 0.0
        self.saved: list[tuple[float, float]] = []
        self.stands_still = False

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: int) -> None:
        self.present += seconds
        if not self.stands_still:
            self.used += seconds

    @rule(seconds=SECONDS)
    def set(self, seconds: int) -> None:
        self.limit.set(seconds, self.present)
        self.allowed, self.used = seconds, 0.0

    @rule(seconds=st.integers(-1000, 1000))
    def move(self, seconds: int) -> None:
        self.limit.move(seconds)
        self.allowed = max(0.0, self.allowed + seconds)

    @rule()
    def refresh(self) -> None:
        self.limit.refresh(self.present)
        self.used = 0.0

    @rule()
    def save(self) -> None:
        self.limit.save(self.present)
        self.saved.append((self.used, self.allowed))

    @precondition(lambda self: self.saved)
    @rule()
    def restore(self) -> None:
        self.limit.restore(self.present)
        self.used, self.allowed = self.saved.pop()

    @precondition(lambda self: not self.saved)
    @rule()
    def restore_what_was_not_saved(self) -> None:
        with pytest.raises(ValueError, match="without 'duration save'"):
            self.limit.restore(self.present)

    @rule()
    def stop(self) -> None:
        self.limit.stop(self.present)
        self.stands_still = True

    @rule()
    def go_on(self) -> None:
        self.limit.go_on(self.present)
        self.stands_still = False

    @rule(away=SECONDS, boot=SECONDS)
    def restart(self, away: int, boot: int) -> None:
        """The host adds the time away, and the next agent's clock is another one."""
        clock = self.limit.clock(self.present)
        clock["used"] += away
        self.used += away
        self.present = float(boot)
        self.limit = Limit.continued(clock, self.present)
        self.stands_still = False

    @invariant()
    def it_agrees_with_the_model(self) -> None:
        assert self.limit.limit == self.allowed
        assert self.limit.used(self.present) == self.used
        assert self.limit.left(self.present) == self.allowed - self.used


TestLimit = LimitMachine.TestCase


def test_a_watchdog_may_save_around_its_uploads() -> None:
    """`refresh` after `restore` means the limit that there was before `save`."""
    limit = Limit(300, present=0)
    limit.save(100)
    limit.set(600, 100)
    limit.restore(500)
    assert limit.left(500) == 200
    limit.refresh(510)
    assert limit.left(510) == 300


def test_a_limit_does_not_grow_without_end() -> None:
    limit = Limit(LONGEST, present=0)
    limit.move(LONGEST)
    assert limit.limit == LONGEST


def test_saving_for_ever_is_a_mistake() -> None:
    limit = Limit(10, present=0)
    for _ in range(256):
        limit.save(1)
    with pytest.raises(ValueError, match="256 times 'duration save' without 'restore'"):
        limit.save(1)
    limit.restore(5)
    assert limit.left(5) == 9


def test_the_clock_is_the_one_that_counts_suspended_time() -> None:
    assert abs(now() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1
