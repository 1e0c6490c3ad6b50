"""Patterns for what is left out of a tree. Pure.

As shells and `.gitignore` have them:

- A pattern without a slash, but for one at its end, is about names, anywhere in the tree: `*.iso`, `build`.
- Any other is about paths from the top of the tree: `docs/build`, `/results`, `data/*.img`.
- `*` and `?` stand for anything but a slash, `[...]` for one of these characters, `**` for any number of folders.
- One with a slash at its end is about folders only: `build/`.

What is in a folder that is left out is left out as well. Capital and small letters differ.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

_ANY_FOLDERS = "**"


class Exclusion:
    """What any of `patterns` is about.

    Raises ValueError for one that can mean nothing: empty, or with `.` or `..` in it.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._folders = [_parts(pattern) for pattern in patterns]
        self._files = [_parts(pattern) for pattern in patterns if not pattern.endswith("/")]

    def covers(self, path: str, *, folder: bool) -> bool:
        """Is this left out? `path` is relative, from the top of its tree."""
        patterns = self._folders if folder else self._files
        return bool(patterns) and any(_match(parts, path.split("/")) for parts in patterns)


def _parts(pattern: str) -> list[str]:
    parts = pattern.removesuffix("/").removeprefix("/").split("/")
    if not set(parts).isdisjoint({"", ".", ".."}):
        raise ValueError(f"{pattern!r} is no pattern for names or paths in a tree")
    if "/" not in pattern.removesuffix("/"):
        parts.insert(0, _ANY_FOLDERS)
    if parts[-1] == _ANY_FOLDERS:
        parts.append("*")
    return parts


def _match(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == _ANY_FOLDERS:
        return any(_match(pattern[1:], path[skipped:]) for skipped in range(len(path)))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and _match(pattern[1:], path[1:])
