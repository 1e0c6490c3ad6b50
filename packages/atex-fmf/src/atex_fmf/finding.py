"""What `lint()` has to say, and how it is gathered: once for each place and problem."""

import msgspec

from .errors import MetadataError, TreeError


class Finding(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One thing that is wrong in a tree, or worth a remark."""

    file: str
    """Absolute path."""
    line: int
    """Counted from 1; 0: not known."""
    problem: str
    names: tuple[str, ...] = ()
    """The tests and plans it is about: all that inherit what stands there."""
    remark: bool = False
    """Whether nothing is wrong: a key is ignored on purpose, or a name looks different on disk."""


class Findings:
    """Those of one tree."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, int, str, bool], dict[str, None]] = {}

    def add(self, error: MetadataError | TreeError, *, remark: bool = False) -> None:
        """The same of another test or plan is no finding of its own."""
        names = self._names.setdefault((error.file, error.line, error.problem, remark), {})
        if isinstance(error, MetadataError):
            names[error.name] = None

    def all(self) -> list[Finding]:
        """By file and line."""
        return sorted(
            Finding(file=file, line=line, problem=problem, names=tuple(names), remark=remark)
            for (file, line, problem, remark), names in self._names.items()
        )
