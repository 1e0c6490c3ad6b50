"""What whoever runs the pool may decide himself, in place of the rules."""

from collections.abc import Callable, Sequence

import msgspec
from atex_fmf import Test

from atex_orchestrator.events import TestFinished


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """Functions that the scheduler asks, in its owner's thread; None: the default. Machines are named by their worker.

    With the defaults a decision costs the logarithm of the number of tests; each of the first three that is given
    costs a call for each waiting test of the platform. What they raise goes through to the caller of the scheduler.
    """

    applicable: Callable[[int, Test], bool] | None = None
    """Whether the test may run on this machine at all; default: all of its platform."""
    fitness: Callable[[int, Test], float] | None = None
    """How well the test suits the machine as it is now: the highest is taken, of equals the first in the order; -inf:
    not there, as it is now. Default: all the same."""
    next_test: Callable[[int, Sequence[Test]], Test | None] | None = None
    """Which of these tests, all applicable and in order, the machine takes; None: it is let go, without replacement.
    Given, `fitness` is not asked."""
    should_rerun: Callable[[Test, TestFinished], bool] | None = None
    """Whether a test that got this verdict is tried again, in place of `Rules.reruns`; not asked of `infra`."""
    destructive: Callable[[Test, TestFinished], bool] | None = None
    """Whether the test left a machine that no other may have, in place of `Rules.destructive`; asked of tests that
    were really started."""
