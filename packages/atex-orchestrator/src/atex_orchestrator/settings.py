"""What all machines of a run share."""

from collections.abc import Mapping

import msgspec
from atex_executor import Times


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How tests and phases are run; see `Orchestrator`."""

    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    grace: float  # seconds
    times: Times
    take_over: bool
    become: bool
    hold_failed: bool
