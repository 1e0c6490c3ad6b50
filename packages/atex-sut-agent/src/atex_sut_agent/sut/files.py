"""Files of results: how long each is, and which door may write to it now."""


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
