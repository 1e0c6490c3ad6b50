"""Reads fmf trees into tests and plans."""

from .discover import discover
from .duration import parse_duration
from .errors import (
    AmbiguousPlan,
    FmfError,
    MetadataError,
    PatternError,
    PlanNotFound,
    TreeError,
)
from .model import Phase, Plan, Suite, Test

__version__ = "0.1.0"

__all__ = [
    "AmbiguousPlan",
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
    "parse_duration",
]
