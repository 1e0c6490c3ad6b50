"""In which order tests are started: the rank of each, as the scheduler wants it. Pure, but for a new seed."""

import logging
import math
import random
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Literal

from atex_fmf import Test

from atex_orchestrator.durations import Durations

Order = Literal["longest", "plan", "random"]
Rank = Callable[[str, Test], Any]
"""Returns, for a platform and a test, what sorts first where it is to start first."""

PRIORITY = (
    "extra-priority"  # of the metadata: a number, those with a higher one start first; by default 0
)
SEEDS = 1 << 32

_log = logging.getLogger(__name__)


def new_seed() -> int:
    """Return a seed for a random order."""
    return random.randrange(SEEDS)


def ranking(order: Order, *, seed: int, durations: Durations) -> Rank | None:
    """Return the rank of tests in an order; None: they start as the plan has them.

    `longest`: by `extra-priority`, then those first that take the longest, so that none that is long is left over at
    the end: by `durations`, and where a test was not measured by the `duration` that it may take. `random`: the same
    for the same `seed`, whatever tests there are besides.
    """
    match order:
        case "plan":
            return None
        case "random":
            return lambda platform, test: _shuffled(seed, platform, test)
        case "longest":
            return lambda platform, test: _longest_first(durations, platform, test)


def _shuffled(seed: int, platform: str, test: Test) -> bytes:
    what = f"{seed} {platform} {test.serial} {test.name}"
    return blake2b(what.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _longest_first(durations: Durations, platform: str, test: Test) -> tuple[float, float]:
    seconds = durations.seconds(platform, test.name)
    return -_priority(test), -(test.duration if seconds is None else seconds)


def _priority(test: Test) -> float:
    match test.metadata.get(PRIORITY, 0):
        case int(value) if not isinstance(value, bool):
            return value
        case float(value) if not math.isnan(value):
            return value
        case other:
            _log.warning("%s: %s is no number and has no effect: %r", test.name, PRIORITY, other)
            return 0
