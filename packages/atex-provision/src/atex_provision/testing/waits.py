"""Waiting for what another thread does, with an end."""

import threading
import time
from collections.abc import Callable
from typing import Generic, Self, TypeVar

T = TypeVar("T")
PATIENCE = 20.0  # seconds; far more than anything takes that works, also on a loaded box


class Background(Generic[T]):
    """Calls `call` in a thread of its own."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="suite")
        self._thread.start()

    def result(self, timeout: float = PATIENCE) -> T:
        """What the call returned or raised; raises AssertionError while it goes on."""
        assert self.ended(timeout), f"it still waits after {timeout:g} seconds"
        if self._error is not None:
            raise self._error
        return self._result[0]

    def ended(self, timeout: float = 0.0) -> bool:
        """Whether the call comes to an end within `timeout` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._result.append(self._call())
        except BaseException as error:
            self._error = error


def eventually(condition: Callable[[], object], what: str, timeout: float = PATIENCE) -> None:
    """Returns as soon as `condition()` is true; raises AssertionError when it does not come about."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:g} seconds: {what}"
        time.sleep(0.01)


class Stopwatch:
    """How long something takes: `with Stopwatch() as took: ...`, then `took.seconds`."""

    seconds = 0.0

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._started
