"""What all machines of a run share."""

from collections.abc import Callable, Mapping

import msgspec
from atex_executor import Sink, Times

from atex_orchestrator.added_tests import AddedTests
from atex_orchestrator.events import Event
from atex_orchestrator.policy import Policy
from atex_orchestrator.register import Register
from atex_orchestrator.results import FinalRecord


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How tests and phases are run; see `Orchestrator`."""

    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    grace: float  # seconds
    times: Times
    take_over: bool
    become: bool


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What every worker of a run is given; for any thread."""

    settings: Settings
    policy: Policy
    sink: Sink
    register: Register
    added: AddedTests
    final: Callable[[str, int, int], FinalRecord | None]
    """Finds the final record of an attempt, by platform, serial and number. Raises OSError."""
    write: Callable[[Event], None]
    """Writes an event down at once, before it is put in the queue. Raises OSError."""
    emit: Callable[[Event], None]
    """Puts an event in the owner's queue."""
