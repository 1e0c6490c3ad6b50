"""What a run wants of its scheduler: plain numbers and choices, the same for all platforms."""

from typing import Literal

import msgspec
from atex_fmf import Test

Destructive = Literal["tag", "exit", "never"]

FAILURES = frozenset({"fail", "error", "warn"})  # statuses that a rerun may mend
NO_VERDICT = "infra"  # the status of an attempt that the machine failed, and not the test


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How often tests are tried, and what becomes of machines."""

    reruns: int = 0
    """So many further attempts at a test that failed, warned or had an error."""
    infra_retries: int = 2
    """So many further attempts at a test that got no verdict, apart from reruns."""
    fail_fast: int = 0
    """After so many tests that failed in their last attempt nothing more is started; 0: never."""
    spares: int = 0
    """So many machines of each platform beyond the size of its pools stand by, ready, while tests wait."""
    destructive: Destructive = "tag"
    """After which tests a machine is replaced: those with the tag `destructive`, also those that failed, warned or had
    an error ("exit"), or none."""
    hold_failed: bool = False
    """Whether a machine of each platform is kept on which a test failed or had an error."""

    def reruns_after(self, status: str, failures: int) -> bool:
        """Return whether a test is tried again after a verdict; `failures`: attempts that failed before this one."""
        return status in FAILURES and failures < self.reruns

    def spoils(self, test: Test, status: str) -> bool:
        """Return whether a test that ran and ended like this leaves a machine that no other may have."""
        if self.destructive == "never":
            return False
        return "destructive" in test.tag or (self.destructive == "exit" and status in FAILURES)
