"""The machines of a run by name: each gets one of its own, and those that failed are remembered."""

import itertools
import threading
from collections.abc import Iterable


class Register:
    """Names and failures of machines. Any thread."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        """`taken`: names that machines had before."""
        self._lock = threading.Lock()  # guards both
        self._taken = set(taken)
        self._failed: set[tuple[str, str]] = set()

    def claim(self, name: str) -> str:
        """Return a name that no other machine of the run has: `local`, `local-2`."""
        with self._lock:
            numbered = (f"{name}-{number}" for number in itertools.count(2))
            free = next(n for n in itertools.chain([name], numbered) if n not in self._taken)
            self._taken.add(free)
        return free

    def give_up(self, platform: str, name: str) -> None:
        """The machine that its provisioner calls `name` failed before its first test of `platform`."""
        with self._lock:
            self._failed.add((platform, name))

    def gave_up(self, platform: str, name: str) -> bool:
        """Whether that machine failed before its first test of `platform`: it would do so again."""
        with self._lock:
            return (platform, name) in self._failed
