"""How long a run may last, by a clock that is handed in."""

import time

from atex_sut_agent.sut.clock import Limit, now


def test_a_new_limit_counts_from_the_present() -> None:
    limit = Limit(started=100.0, limit=10.0)
    assert limit.deadline == 110.0
    limit.set(30.0, present=105.0)
    assert (limit.limit, limit.deadline) == (30.0, 135.0)


def test_a_moved_limit_keeps_the_time_used() -> None:
    limit = Limit(started=100.0, limit=10.0)
    limit.move(60.0)
    assert (limit.limit, limit.deadline) == (70.0, 170.0)
    limit.move(-65.0)
    assert limit.deadline == 105.0
    limit.move(-3600.0)
    assert (limit.limit, limit.deadline) == (0.0, 100.0)


def test_the_clock_is_the_one_that_counts_suspended_time() -> None:
    assert abs(now() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1
