"""The scheduler against a simulated pool, in any order of events."""

import math
from collections.abc import Callable
from random import Random

import msgspec
from atex_fmf import Test
from atex_orchestrator.events import ANY
from atex_orchestrator.scheduling import Hooks, Pool, Rules
from hypothesis import given
from hypothesis import strategies as st

from tests.orchestrator.happenings import plan
from tests.orchestrator.meddling import Meddled

RULES = st.builds(
    Rules,
    reruns=st.integers(0, 2),
    infra_retries=st.integers(0, 2),
    fail_fast=st.sampled_from([0, 0, 0, 1, 3]),
    spares=st.integers(0, 2),
    destructive=st.sampled_from(["tag", "exit", "never"]),
    hold_failed=st.booleans(),
)
SIZES = st.lists(st.integers(0, 4), max_size=3)
DURATIONS = st.sampled_from([10.0, 90.0, 300.0, 1000.0])
CHANCE = st.randoms(use_true_random=True)


def some_tests(serial: int, durations: list[float]) -> list[Test]:
    tests = plan(len(durations))
    return [
        msgspec.structs.replace(
            test,
            serial=number,
            duration=duration,
            tag=("destructive",) if number % 5 == 0 else (),
        )
        for number, (test, duration) in enumerate(zip(tests, durations, strict=True), serial)
    ]


def offered(
    sizes: dict[str, list[int]], of_platforms: list[float], of_none: list[float]
) -> tuple[dict[str, list[Test]], list[Pool]]:
    """Return the tests of two platforms and of none, and pools."""
    own = some_tests(1, of_platforms)
    tests = {"p": own, "q": own[::2], ANY: some_tests(100, of_none)}
    return tests, [Pool(name, size) for name in ("p", "q") for size in sizes[name]]


@given(
    st.fixed_dictionaries({"p": SIZES, "q": SIZES}),
    st.lists(DURATIONS, max_size=12),
    st.lists(DURATIONS, max_size=6),
    RULES,
    st.integers(0, 80),
    st.sampled_from([0.0, 0.1, 0.5]),
    st.sampled_from([0.0, 0.1]),
    CHANCE,
)
def test_every_test_is_decided_exactly_once_whatever_happens(
    sizes: dict[str, list[int]],
    of_platforms: list[float],
    of_none: list[float],
    rules: Rules,
    stop_at: int,
    faults: float,
    meddling: float,
    chance: Random,
) -> None:
    """Each attempt once, every test decided, no machine idle for nothing, none held without need."""
    tests, pools = offered(sizes, of_platforms, of_none)
    simulation = Meddled(tests, pools, rules, chance, faults, meddling=meddling)
    simulation.run(stop_at if stop_at < 40 else -1)


@given(
    st.fixed_dictionaries({"p": SIZES, "q": SIZES}),
    st.lists(DURATIONS, max_size=8),
    st.lists(DURATIONS, max_size=3),
    RULES,
    st.sampled_from(["applicable", "fitness", "next_test"]),
    st.sampled_from([0.0, 0.1, 0.5]),
    CHANCE,
)
def test_whatever_hooks_say_every_test_is_decided_and_it_ends(
    sizes: dict[str, list[int]],
    of_platforms: list[float],
    of_none: list[float],
    rules: Rules,
    name: str,
    faults: float,
    chance: Random,
) -> None:
    """Also where hooks say something else each time."""
    said: dict[str, Callable[..., object]] = {
        "applicable": lambda worker, test: (worker * 7 + test.serial * 3) % 4 != 0,
        "fitness": lambda _worker, _test: chance.choice([-math.inf, 0.0, 1.0]),
        "next_test": lambda _worker, tests: chance.choice([None, *tests, *tests, *tests]),
    }
    tests, pools = offered(sizes, of_platforms, of_none)
    hooks = Hooks(**{name: said[name]})  # type: ignore[arg-type]
    Meddled(tests, pools, rules, chance, faults, hooks, meddling=0.1).run()
