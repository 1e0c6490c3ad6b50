"""A run that goes on, as the host knows it; from its first start to its ending, over any number of restarts.

Not thread-safe: the session's lock guards it.
"""

from collections.abc import Callable, Sequence
from math import inf
from typing import Protocol

import msgspec
from atex_sut_agent.protocol import Again, Clock, Hello, Lengths, RunMessage, Start

from atex_executor.ending import Ending
from atex_executor.errors import FileRefused, ProtocolBroken, SinkError
from atex_executor.orders import Order
from atex_executor.restart import Agent, Announced, Restart
from atex_executor.times import Times


class Account(Protocol):
    """Where it is written down what a run says. One thread at a time calls these."""

    def apply(self, message: RunMessage, tail: bytes) -> None:
        """Write down what one message says. Raises ProtocolBroken and SinkError."""

    def again(self, clock: Clock, *, incarnation: str) -> tuple[Sequence[Lengths], Again]:
        """The run starts again, in this incarnation: note that, and return where it goes on. Raises SinkError."""


class Job(msgspec.Struct, frozen=True):
    """What is to be run."""

    order: Callable[[int], Start]  # how, when it was restarted so many times
    account: Account


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What another process knew last of a run that it began."""

    incarnation: str  # in which it was started last
    key: str  # of that start
    restarts: int = 0  # before that start
    announced: Announced | None = None  # and not started again since


class Run:
    """One run. Without a `start`, the order that began it last, it was begun by another process."""

    def __init__(self, job: Job, times: Times, *, restarts: int = 0) -> None:
        self.job = job
        self.restarts = restarts  # so far
        self.number = 0  # of its present start
        self.start: Order | None = None
        self.grace = 0.0  # seconds that it has when its time is up
        self.ending: Ending | None = None
        self.restart: Restart | None = None  # was announced, and nothing has come of it yet
        self.applying = False  # the reader is writing something down at this moment
        self.sink_error: SinkError | None = None  # from then on nothing is written down
        self.cancel_note: str | None = None
        self.confirm_by = inf  # when the agent has to have confirmed the cancel
        self.heard = 0.0  # when it said something last
        self._error: str | None = None  # that it made at a door, in any of its starts
        self._due = inf
        self._times = times

    @property
    def sent(self) -> bool:
        """May it have begun?"""
        return self.start is None or self.start.sent

    def goes_on_as(self, number: int) -> bool:
        """May an agent still tell something of it under this number?"""
        runs = self.restart is None or self.restart.runs
        return self.number == number and self.ending is None and runs

    @property
    def due(self) -> float:
        """When an agent that is attached has to have ended it, unless it still has something to say of it."""
        if self.restart is not None and not self.restart.runs:
            return inf
        return max(self._due, self.heard + self._times.overdue)

    def left(self, seconds: float, now: float) -> None:
        """So many are left of its time and grace. Where none are, saying so again gains nothing."""
        due = now + seconds + self._times.overdue
        self._due = due if seconds > 0 else min(due, self._due)

    def attached(self, hello: Hello, now: float) -> None:
        """An agent answers, after a loss."""
        self.left(2 * self._times.beat, now)  # by then it has said what is left
        if self.restart is not None:
            self.restart.attached(hello, now)

    def announce(self, announced: Announced, agent: Agent) -> Restart:
        """It takes the machine down. Raises ProtocolBroken for what no agent says."""
        clock, patience = announced.clock, announced.patience
        if self.restart is not None or min(clock.used, clock.limit, patience or 0.0) < 0:
            raise ProtocolBroken("a restart was announced as none can be")
        times = self._times
        self.restart = Restart(announced, agent, settle=times.settle, exit_wait=times.exit_wait)
        return self.restart

    def next_start(self, again: Again | None) -> Start:
        """Return the order that starts it, maybe again."""
        start = self.job.order(self.restarts)
        self.grace = start.grace
        return start if again is None else msgspec.structs.replace(start, again=again)

    def come_back(self, hello: Hello, now: float, *, runs: bool) -> None:
        """Another process saw the announcement; this one finds that agent. `runs`: what was started first is there."""
        if self.restart is not None:
            self.restart.connection_lost()
            if not runs:
                self.restart.exited(Ending(ended_by="restart"), now)
            self.restart.attached(hello, now)

    def result(self, ending: Ending) -> Ending:
        """Return how it ended, and whether that could be written down."""
        error = self.sink_error
        if error is None or isinstance(error, FileRefused):
            return ending
        return msgspec.structs.replace(ending, sink_error=error)

    def exited(self, ending: Ending, now: float) -> None:
        """Its process is over, and ended so. What it did wrong before a restart stays wrong."""
        self._error = self._error or ending.error
        ending = msgspec.structs.replace(ending, error=self._error)
        if self.restarts:
            ending = msgspec.structs.replace(ending, seconds=None)  # they are those of one start
        if self.restart is None:
            self.ending = ending
        elif self.cancel_note is None:
            self.restart.exited(ending, now)
        else:
            self.ending = Ending(ended_by="cancel", note=self.cancel_note)
