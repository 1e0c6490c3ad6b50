"""Results that wait: partial ones for the one that closes them, those of the test itself for its final record.

spec/RESULTS.md, "Partial results" and "The verdict". To take one more costs the same however many came before, and
what is held is bounded, by MAX_HELD and a quarter of it.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from atex_executor.merge import merge
from atex_executor.verdict import worse

MAX_HELD = 16 * 1024 * 1024  # bytes of JSON, of one run
_LOOK_EVERY = MAX_HELD // 4  # bytes taken between two looks at how much is held
_ENTRY_COST = 100  # bytes, of a name that is held, beside what is held

_encode = msgspec.json.Encoder().encode


class HeldResult:
    """What the partial results of one name have become so far."""

    def __init__(self) -> None:
        self.n = 0
        """The number of the last of them."""
        self.keys: dict[str, Any] = {}
        """Merged; without the name and the files."""
        self.files: list[str] = []
        """Paths, each once."""

    def add(self, n: int, result: dict[str, Any], files: Iterable[str]) -> None:
        """Merge a further result."""
        self.n = n
        merge(self.keys, result)
        self.files += files


class OwnResult(HeldResult):
    """What the results of the test itself have become: the worst status, the last note, all files, other keys."""

    def __init__(self) -> None:
        super().__init__()
        self.status: str | None = None

    @property
    def note(self) -> str | None:
        return self.keys.get("note")

    @property
    def others(self) -> dict[str, Any]:
        """All keys but status and note."""
        return {key: value for key, value in self.keys.items() if key not in ("status", "note")}

    def add(self, n: int, result: dict[str, Any], files: Iterable[str]) -> None:
        if result.get("status") is not None:
            self.status = worse(self.status, result["status"])
        super().add(n, result, files)


class HeldResults:
    """All that is held of one run.

    Where it becomes more than MAX_HELD it is `full`: what is held stays, and nothing further is taken.
    """

    def __init__(self) -> None:
        self.own = OwnResult()
        self.named: dict[str, HeldResult] = {}
        """In the order in which the names first appeared."""
        self.full = False
        self._taken = 0  # bytes, since the last look

    def hold(self, n: int, name: str, result: dict[str, Any], files: Iterable[str]) -> None:
        """Merge the result number `n` into what is held of its `name`, "" for the test itself.

        Its status and note are strings or None, where they are there; it has no name and no files among its keys.
        """
        held = self.named.get(name) if name else self.own
        if held is None:
            held = self.named[name] = HeldResult()
            self._taken += len(name) + _ENTRY_COST
        if result:
            self._taken += len(_encode(result))
        self._taken += sum(map(len, files))
        held.add(n, result, files)
        if self._taken > _LOOK_EVERY:
            # A value that is replaced a million times is held once, so what was taken is not what is held.
            self._taken = 0
            self.full = self._size() > MAX_HELD

    def release(self, name: str) -> HeldResult | None:
        """Return what is held of `name`, and hold it no longer; None where nothing is."""
        return self.named.pop(name, None)

    def _size(self) -> int:
        size = sum(len(name) + _ENTRY_COST for name in self.named)
        for held in (self.own, *self.named.values()):
            size += len(_encode(held.keys)) + sum(map(len, held.files))
        return size
