"""A sink in memory that believes nothing: what comes from a machine must never get here wrong."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from atex_executor import FileRefused, Sink


class MemorySink(Sink):
    """What one attempt, whose files are in `folder`, leaves. A file is a bytearray, and as many paths as link to it."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.lines: list[bytes] = []
        self.contents: dict[str, bytearray] = {}
        self.journal_lines: list[bytes] = []
        self.synced = 0

    def content(self) -> tuple[list[bytes], dict[str, bytes]]:
        """Records and files, as they are now."""
        return list(self.lines), {path: bytes(data) for path, data in self.contents.items()}

    def records(self, lines: Sequence[Mapping[str, Any]]) -> None:
        self.lines += [msgspec.json.encode(line) + b"\n" for line in lines]

    def _check(self, path: str) -> None:
        assert path.startswith(f"{self.folder}/")
        assert "\0" not in path
        assert not {"", ".", ".."} & set(path.split("/"))

    def _check_new(self, path: str) -> None:
        self._check(path)
        for other in self.contents:
            if path.startswith(f"{other}/") or other.startswith(f"{path}/"):
                raise FileRefused("it is a folder and a file")

    def write(self, path: str, offset: int, data: bytes) -> None:
        if path not in self.contents:
            self._check_new(path)
            self.contents[path] = bytearray()
        content = self.contents[path]
        assert offset == len(content)
        content += data

    def link(self, existing: str, path: str) -> bool:
        if path not in self.contents:
            self._check_new(path)
            self.contents[path] = self.contents[existing]
            return True
        if self.contents[path] is not self.contents[existing]:
            raise FileRefused("another file has that name")
        return False

    def same_file(self, one: str, other: str) -> bool:
        return one in self.contents and self.contents[one] is self.contents.get(other)

    def length(self, path: str) -> int | None:
        self._check(path)
        content = self.contents.get(path)
        return None if content is None else len(content)

    def files(self, folder: str) -> Iterator[str]:
        yield from [path for path in self.contents if path.startswith(f"{folder}/")]

    def cut(self, path: str, length: int) -> None:
        content = self.contents[path]
        assert length <= len(content)
        assert [other is content for other in self.contents.values()].count(True) == 1
        del content[length:]

    def remove(self, path: str) -> None:
        del self.contents[path]

    def journal(self, attempt: str, lines: Sequence[Any]) -> None:
        assert attempt == self.folder
        self.journal_lines += [msgspec.json.encode((attempt, line)) + b"\n" for line in lines]

    def journaled(self, attempt: str) -> Iterator[bytes]:
        assert attempt == self.folder
        yield from self.journal_lines

    def forget(self, attempt: str) -> None:
        assert attempt == self.folder
        self.journal_lines.clear()

    def sync(self) -> None:
        self.synced += 1

    def close(self) -> None:
        pass
