"""Ctrl-C, SIGTERM and SIGHUP, once, in the main thread: they stop the run, and do not tear it down."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stoppable(Protocol):
    """Somebody who can be told to stop, from a signal handler."""

    def abort(self, reason: str, *, at_once: bool = False) -> None:
        """Stop, for this reason; `at_once`: without waiting for anything. Any number of times."""


@contextmanager
def stopped_by_signals(work: Stoppable) -> Iterator[list[int]]:
    """Stop `work` at the first signal, at once at any further one; yield the numbers received so far.

    A further SIGHUP changes nothing: a terminal that is closed may send several. Where SIGHUP was ignored it stays so,
    which is what `nohup` asks for. For the main thread. The handlers that were there before are put back.
    """
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        received.append(number)
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        at_once = len(received) > 1 and number != signal.SIGHUP
        work.abort(f"interrupted by {name}", at_once=at_once)

    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    wanted = [number for number in SIGNALS if number != signal.SIGHUP or not nohup]
    before = {number: signal.signal(number, receive) for number in wanted}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
