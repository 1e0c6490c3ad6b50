"""What became of each test so far, and whether it is tried again."""

from typing import TYPE_CHECKING, Any

import msgspec
from atex_fmf import Test

from atex_orchestrator.events import TestFinished
from atex_orchestrator.scheduling.hooks import Hooks
from atex_orchestrator.scheduling.rules import FAILURES, NO_VERDICT, Rules

if TYPE_CHECKING:
    from atex_orchestrator.scheduling.waiting import Row, Waiting


class Tries(msgspec.Struct, frozen=True, kw_only=True):
    """The attempts at one test."""

    attempts: int
    """The number of the last one; 0: there was none."""
    failures: int
    """Those that ended as fail, error or warn."""
    infra: int
    """Those that ended without a verdict."""


class Job:
    """A test on its way to a verdict. There may be millions."""

    __slots__ = (
        "abandoned",
        "agent_died",
        "attempts",
        "failures",
        "home",
        "infra",
        "key",
        "place",
        "row",
        "test",
        "tried",
        "waits",
    )

    def __init__(self, test: Test, home: "Waiting", key: Any) -> None:
        self.test = test
        self.home = home
        self.key = key  # of the order in which tests are started, unique within all that may meet
        self.attempts = 0
        self.failures = 0
        self.infra = 0
        self.agent_died = False  # under it, once
        self.abandoned = False  # no further attempt is wanted
        self.tried: frozenset[int] = frozenset()  # workers that take tests, and had this one
        self.waits = False
        self.row: Row | None = None  # where it waits, or did
        self.place = 0  # in the row

    def ended(self, finished: TestFinished, rules: Rules, hooks: Hooks) -> bool:
        """Count an attempt; return whether another one follows."""
        again = self._is_tried_again(finished, rules, hooks)
        self.infra += finished.status == NO_VERDICT
        self.failures += finished.status in FAILURES
        self.agent_died = self.agent_died or finished.agent_died
        return again

    def may_fail_again(self, rules: Rules, hooks: Hooks) -> bool:
        """Return whether it would be tried again if the attempt that runs failed."""
        if self.abandoned:
            return False
        return hooks.should_rerun is not None or self.failures < rules.reruns

    def _is_tried_again(self, finished: TestFinished, rules: Rules, hooks: Hooks) -> bool:
        if self.abandoned:
            return False
        if finished.status == NO_VERDICT:
            # Once, whatever is set: spec/AGENT.md, "A run".
            unseen = finished.agent_died and not self.agent_died
            return unseen or self.infra < rules.infra_retries
        if hooks.should_rerun is not None:
            return hooks.should_rerun(self.test, finished)
        return rules.reruns_after(finished.status, self.failures)
