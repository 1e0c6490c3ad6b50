"""In which order tests start."""

from pathlib import Path
from typing import Any

import pytest
from atex_fmf import Test
from atex_orchestrator.durations import Durations
from atex_orchestrator.order import SEEDS, new_seed, ranking
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def durations(tmp_path: Path) -> Durations:
    return Durations(tmp_path)


def numbered(serial: int, duration: float = 300, **metadata: Any) -> Test:
    extra = {f"extra-{key}": value for key, value in metadata.items()}
    return Test(name=f"/t{serial}", test="true", serial=serial, duration=duration, metadata=extra)


def longest(durations: Durations, *tests: Test) -> list[int]:
    rank = ranking("longest", seed=0, durations=durations)
    assert rank is not None
    return [test.serial for test in sorted(tests, key=lambda test: rank("p", test))]


def shuffled(seed: int, tests: list[Test], durations: Durations, platform: str = "p") -> list[int]:
    rank = ranking("random", seed=seed, durations=durations)
    assert rank is not None
    return [test.serial for test in sorted(tests, key=lambda test: rank(platform, test))]


def test_the_longest_first_by_what_they_may_take(durations: Durations) -> None:
    assert longest(durations, numbered(1, 60), numbered(2, 3600), numbered(3, 300)) == [2, 3, 1]


def test_what_was_measured_is_believed_more(durations: Durations) -> None:
    durations.learn("p", "/t2", 10)
    durations.learn("elsewhere", "/t1", 4000)
    tests = (numbered(1, 60), numbered(2, 3600), numbered(3, 5))
    assert longest(durations, *tests) == [1, 2, 3]


def test_a_measured_nothing_is_nothing(durations: Durations) -> None:
    durations.learn("p", "/t1", 0.0)
    assert longest(durations, numbered(1), numbered(2, 1)) == [2, 1]


def test_a_priority_is_above_all(durations: Durations) -> None:
    tests = (
        numbered(1, priority=-1),
        numbered(2, 60),
        numbered(3, 1, priority=0.5),
        numbered(4),
        numbered(5, 1, priority=10**400),
    )
    assert longest(durations, *tests) == [5, 3, 4, 2, 1]


@pytest.mark.parametrize("value", ["high", "9", True, float("nan"), [1]])
def test_a_priority_that_is_no_number(
    value: Any, durations: Durations, caplog: pytest.LogCaptureFixture
) -> None:
    assert longest(durations, numbered(1, 60, priority=value), numbered(2)) == [2, 1]
    assert "/t1: extra-priority is no number and has no effect" in caplog.text


def test_as_the_plan_has_them(durations: Durations) -> None:
    assert ranking("plan", seed=0, durations=durations) is None


@given(seed=st.integers(0, SEEDS - 1), count=st.integers(2, 30), data=st.data())
def test_a_seed_is_an_order(seed: int, count: int, data: st.DataObject) -> None:
    """Whatever order they are given in, and whichever of them are there."""
    durations = Durations(Path("/nonexistent"))
    tests = [numbered(serial) for serial in range(1, count + 1)]
    order = shuffled(seed, tests, durations)
    some = data.draw(st.lists(st.sampled_from(tests), unique_by=lambda test: test.serial))
    chosen = {test.serial for test in some}
    assert shuffled(seed, some, durations) == [serial for serial in order if serial in chosen]


def test_seeds_and_platforms_have_orders_of_their_own(durations: Durations) -> None:
    tests = [numbered(serial) for serial in range(1, 31)]
    orders = [shuffled(seed, tests, durations) for seed in range(10)]
    orders.append(shuffled(0, tests, durations, platform="q"))
    assert len({tuple(order) for order in orders}) == len(orders)


def test_a_new_seed_each_time() -> None:
    assert len({new_seed() for _ in range(10)}) > 1
