"""Files of results: how long each is, and which door may write to it now."""

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_CUTS_SIZE = 1024 * 1024  # bytes of JSON in one frame, well below framing.MAX_HEAD
_CUT_COST = 64  # bytes of a cut's JSON, beside its names


class Files:
    """The files of one run, by (name of the result, name of the file).

    A result's files are claimed together and released together, so two results that are unfinished at the same
    time never write to the same file: the second waits, and its bytes follow the first's.
    """

    def __init__(self) -> None:
        self._lengths: "dict[tuple[str, str], int]" = {}
        self._claims: "dict[object, dict[tuple[str, str], int]]" = {}  # door: {key: length at the time of the claim}

    def claim(self, door: object, name: str, files: "list[str]") -> bool:
        """Try to claim; return whether it worked."""
        keys = {(name, file) for file in files}
        for claimed in self._claims.values():
            if not keys.isdisjoint(claimed):
                return False
        self._claims[door] = {key: self._lengths.get(key, 0) for key in keys}
        return True

    def grow(self, name: str, file: str, size: int) -> int:
        """Note `size` more bytes; return the offset at which they land."""
        key = (name, file)
        offset = self._lengths.get(key, 0)
        self._lengths[key] = offset + size
        return offset

    def commit(self, door: object) -> None:
        """The result is complete: its files stay as they are."""
        del self._claims[door]

    def cut_back(self, door: object) -> "list[tuple[str, str, int]]":
        """The result is dropped: return [(name, file, length)] of what its files were before, and are again."""
        before = self._claims.pop(door)
        for key, length in before.items():
            self._lengths[key] = length
        return sorted((key[0], key[1], length) for key, length in before.items())


def cuts_by_frame(cuts: "list[tuple[str, str, int]]") -> "Iterator[list[dict[str, Any]]]":
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
