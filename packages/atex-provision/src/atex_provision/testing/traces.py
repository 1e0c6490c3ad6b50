"""What a test leaves behind in its own process: threads and file descriptors, sockets among them."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LET_GO = 5.0  # seconds that threads and descriptors have to end after a test


@contextmanager
def nothing_left() -> Iterator[None]:
    """Raises AssertionError when what came up inside is still there 5 seconds afterwards."""
    before = _traces()
    yield
    deadline = time.monotonic() + LET_GO
    while left := _traces() - before:
        if time.monotonic() > deadline:
            raise AssertionError("left behind: " + "; ".join(sorted(map(" ".join, left))))
        time.sleep(0.01)


def _traces() -> set[tuple[str, str, str]]:
    threads = {("thread", thread.name, str(thread.ident)) for thread in threading.enumerate()}
    return threads | set(_descriptors())


def _descriptors() -> Iterator[tuple[str, str, str]]:
    for number in os.listdir("/proc/self/fd"):
        try:
            yield "descriptor", number, os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # the one that listdir had, or closed just now
            continue
