"""Which machine does what next: pure, so that it is tested and simulated without threads or sleeping.

`Scheduler` takes events and returns decisions; whoever owns it carries them out, in their order.
"""

from atex_orchestrator.scheduling.decisions import (
    Decision,
    GiveUp,
    Keep,
    Pool,
    Release,
    Reserve,
    Run,
)
from atex_orchestrator.scheduling.hooks import Hooks
from atex_orchestrator.scheduling.rules import Destructive, Rules
from atex_orchestrator.scheduling.scheduler import Scheduler
from atex_orchestrator.scheduling.tries import Tries

__all__ = [
    "Decision",
    "Destructive",
    "GiveUp",
    "Hooks",
    "Keep",
    "Pool",
    "Release",
    "Reserve",
    "Rules",
    "Run",
    "Scheduler",
    "Tries",
]
