"""What a test says about itself: results without a name, held until its final record (spec/RESULTS.md)."""

from collections.abc import Iterable
from typing import Any

import msgspec

from atex_executor.merge import merge
from atex_executor.verdict import worse

MAX_HELD = 16 * 1024 * 1024  # bytes of JSON
_LOOK_EVERY = MAX_HELD // 4  # bytes taken between two looks at how much is held


class TooMuch(Exception):
    """More is held than one test may leave in memory."""


class OwnResults:
    """The results of the test itself, merged as they come: worst status, last note, all files, other keys."""

    def __init__(self) -> None:
        self.status: str | None = None
        self.note: str | None = None
        self.files: list[str] = []
        self.others: dict[str, Any] = {}
        self._taken = 0  # bytes, since the last look

    def add(self, result: dict[str, Any], files: Iterable[str]) -> None:
        """Merge one result, whose `status` and `note` are strings where they are there. Raises TooMuch.

        After TooMuch the status, the note and the files of this result do count.
        """
        status = result.pop("status", None)
        if status is not None:
            self.status = worse(self.status, status)
        self.note = result.pop("note", self.note)
        self.files += files
        if result:
            self._taken += len(msgspec.json.encode(result))
            merge(self.others, result)
            if self._taken > _LOOK_EVERY:
                self._taken = 0
                self._look()

    def _look(self) -> None:
        # A value that is replaced a million times is held once, so what was taken is not what is held.
        if len(msgspec.json.encode(self.others)) > MAX_HELD:
            self.others = {}
            raise TooMuch(f"more than {MAX_HELD // 2**20} MiB of results for the test itself")
