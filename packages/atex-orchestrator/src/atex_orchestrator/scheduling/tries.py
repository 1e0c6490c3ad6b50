"""What became of a test so far."""

from collections.abc import Sequence
from typing import Self

import msgspec

from atex_orchestrator.scheduling.rules import Rules

FAILURES = frozenset({"fail", "error", "warn"})  # statuses that a rerun may mend
NO_VERDICT = "infra"  # the status of an attempt that the machine failed, and not the test


class Tries(msgspec.Struct, frozen=True, kw_only=True):
    """The attempts at one test, for a scheduler that goes on where another one was killed."""

    attempts: int = 0
    """The number of the last one."""
    failures: int = 0
    """Those that ended as fail, error or warn."""
    infra: int = 0
    """Those that ended without a verdict."""
    failed: bool = False
    """Whether the last one is of the failures."""
    decided: bool = False
    """Whether no further one follows."""

    @classmethod
    def of(cls, statuses: Sequence[str], rules: Rules) -> Self:
        """Return what the final statuses of all attempts, in their order, mean by these rules."""
        if not statuses:
            return cls()
        failures = sum(status in FAILURES for status in statuses)
        infra = sum(status == NO_VERDICT for status in statuses)
        failed = statuses[-1] in FAILURES
        retried = statuses[-1] == NO_VERDICT and infra <= rules.infra_retries
        return cls(
            attempts=len(statuses),
            failures=failures,
            infra=infra,
            failed=failed,
            decided=not retried and not (failed and failures <= rules.reruns),
        )
