"""Reads fmf trees into tests and plans."""

from .context import parse_context
from .discover import discover
from .duration import parse_duration
from .errors import (
    AmbiguousPlan,
    ContextError,
    FmfError,
    MetadataError,
    PatternError,
    PlanNotFound,
    TreeError,
)
from .finding import Finding
from .lint import lint
from .model import Phase, Plan, Suite, Test

__version__ = "0.1.0"

__all__ = [
    "AmbiguousPlan",
    "ContextError",
    "Finding",
    "FmfError",
    "MetadataError",
    "PatternError",
    "Phase",
    "Plan",
    "PlanNotFound",
    "Suite",
    "Test",
    "TreeError",
    "discover",
    "lint",
    "parse_context",
    "parse_duration",
]
