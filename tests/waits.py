"""Waiting for what another thread or process does."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")
PATIENCE = 60.0  # seconds


class Background(Generic[T]):
    """Calls `call` in a thread of its own; `result()` is what it returned or raised."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self, timeout: float = PATIENCE) -> T:
        """Wait for the end; raise what the call raised."""
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


def eventually(condition: Callable[[], object], timeout: float = PATIENCE) -> None:
    """Return as soon as `condition()` is true."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


@contextmanager
def still_waiting(thread: Background[Any]) -> Iterator[None]:
    """The thread waits before, and what is done inside ends within 20 seconds."""
    thread._thread.join(0.1)
    assert thread.waiting
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 20
