"""Threads whose end a test waits for."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
PATIENCE = 10.0  # seconds


class Background(Generic[T]):
    """Calls `call` in a thread of its own; `result()` is what it returned or raised."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self, timeout: float = PATIENCE) -> T:
        """Waits for the end; raises what the call raised."""
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "still waiting"
        if self._error is not None:
            raise self._error
        return self._result[0]

    @property
    def waiting(self) -> bool:
        """Whether it has not come to an end."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._result.append(self._call())
        except BaseException as error:
            self._error = error
