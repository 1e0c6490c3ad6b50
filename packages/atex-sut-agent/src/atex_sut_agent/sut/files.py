"""Files of results: how long each is, and which door may write to it now."""

from .compact import CompactDict

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_MAX_CLAIMED = (
    100_000  # files that are unfinished at the same time, unless they are all of one result
)
_CUTS_SIZE = 1024 * 1024  # bytes of JSON in one frame, well below framing.MAX_HEAD
_CUT_COST = 64  # bytes of a cut's JSON, beside its names


class Files:
    """The files of one run, by (name of the result, name of the file).

    A result's files are claimed together and given back together, so two results that are unfinished at the same
    time never write to the same file: the second waits, and its bytes follow the first's.
    """

    def __init__(self) -> None:
        self._listed = CompactDict()  # lengths of those that a result has listed: a million, maybe
        self._claimed: "dict[str, int]" = {}  # lengths of those that a door is writing
        self._claims: "dict[object, _Claim]" = {}  # by door

    def continue_with(self, name: str, file: str, length: int) -> None:
        """An earlier start of the run has sent this file already (`Lengths` of the host)."""
        self._listed.set(_key(name, file), length)

    def length(self, name: str, file: str) -> int:
        """Return how long a file is that results have listed, 0 where none has."""
        return self._listed.get(_key(name, file)) or 0

    def claim(self, door: object, name: str, files: "list[str]") -> bool:
        """Try to claim these for `door`, which has no claim; return whether it worked."""
        claim = _Claim(name, files)
        if not self._claimed.keys().isdisjoint(claim.keys):
            return False
        if self._claims and len(self._claimed) + len(claim.keys) > _MAX_CLAIMED:
            return False
        for key in claim.keys:
            self._claimed[key] = self._listed.get(key) or 0
        self._claims[door] = claim
        return True

    def grow(self, door: object, file: str, size: int) -> "tuple[int, int | None]":
        """Note `size` more bytes of a file that `door` has claimed.

        Return the offset at which they land, and how long it was before this result: None where none has listed it.
        """
        key = _key(self._claims[door].name, file)
        offset = self._claimed[key]
        self._claimed[key] = offset + size
        return offset, self._listed.get(key)

    def commit(self, door: object) -> "list[int | None]":
        """The result is complete: return how long each of its files was before, as `grow` does, without repetition."""
        keys = self._claims.pop(door).keys
        before = [self._listed.get(key) for key in keys]
        for key in keys:
            self._listed.set(key, self._claimed.pop(key))
        return before

    def cut_back(self, door: object) -> "list[tuple[str, str, int | None]]":
        """The result is dropped: return [(name, file, length)] of what its files were before, and are again.

        Length None: no result has listed it.
        """
        claim = self._claims.pop(door)
        for key in claim.keys:
            del self._claimed[key]
        return [(claim.name, file, self._listed.get(key)) for key, file in claim.keys.items()]


class _Claim:
    def __init__(self, name: str, files: "list[str]") -> None:
        self.name = name
        self.keys = {_key(name, file): file for file in files}


def _key(name: str, file: str) -> str:
    # No file's name holds a NUL.
    return file + "\0" + name


def cuts_by_frame(cuts: "list[tuple[str, str, int | None]]") -> "Iterator[list[dict[str, Any]]]":
    """Divide what `cut_back` returned into lists for the `cuts` of a frame each.

    A result may list tens of thousands of files, and each cut repeats the result's name.
    """
    present: "list[dict[str, Any]]" = []
    size = 0
    for name, file, length in cuts:
        cost = _CUT_COST + 6 * (len(name) + len(file))  # a character is at most \u0001
        if present and size + cost > _CUTS_SIZE:
            yield present
            present, size = [], 0
        present.append({"name": name, "file": file, "length": length})
        size += cost
    if present:
        yield present
