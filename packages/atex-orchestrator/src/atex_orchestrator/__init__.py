"""Runs fmf tests on a pool of machines: a free machine takes the next test."""

__version__ = "0.1.0"

from atex_orchestrator.errors import FolderInUse, FolderUnreadable, OrchestratorError, SetupError
from atex_orchestrator.events import Event
from atex_orchestrator.orchestrator import Orchestrator
from atex_orchestrator.results import FinalRecord
from atex_orchestrator.summary import Flaky, MachineTrouble, Summary, last_lines, summarize

__all__ = [
    "Event",
    "FinalRecord",
    "Flaky",
    "FolderInUse",
    "FolderUnreadable",
    "MachineTrouble",
    "Orchestrator",
    "OrchestratorError",
    "SetupError",
    "Summary",
    "last_lines",
    "summarize",
]
