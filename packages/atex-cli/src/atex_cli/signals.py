"""Ctrl-C and SIGTERM, once, in the main thread: they stop the run, and do not tear it down."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from atex_orchestrator import Orchestrator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopped_by_signals(orchestrator: Orchestrator) -> Iterator[list[int]]:
    """Stop `orchestrator` at the first signal, at once at any further one; yield the numbers received so far.

    For the main thread. The handlers that were there before are put back.
    """
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        received.append(number)
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        orchestrator.abort(f"interrupted by {name}", at_once=len(received) > 1)

    before = {number: signal.signal(number, receive) for number in SIGNALS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
