"""What a run wants of its scheduler: plain numbers and choices, the same for all platforms."""

from typing import Literal

import msgspec

Destructive = Literal["tag", "exit", "never"]


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
    """After which tests a machine is replaced: those with the tag `destructive`, also those that failed or had an
    error ("exit"), or none."""
    hold_failed: bool = False
    """Whether a machine of each platform is kept on which a test failed or had an error."""
