"""A test as a phase of discover finds it."""

from typing import NamedTuple

from .node import Keys
from .source import Source


class Found(NamedTuple):
    """A test that is selected and not read yet: its values may still turn out to be wrong."""

    name: str
    """With the prefix of its phase, where there is one."""
    keys: Keys
    source: Source
    folder: str = "/"
    """Where it runs unless it says so itself: like its `path`, counted from the top of its fmf tree."""
