"""Machines that are held for somebody, until he says that it is enough or their leases end.

Guarantees: the thread that calls run() owns all state; keepers and signal handlers only put messages in its inbox.
However run() ends, every machine is given back by then, unless that takes longer than GIVE_BACK_LIMIT or a second
signal says not to wait.
"""

import contextlib
import logging
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

import msgspec
from atex_orchestrator.events import OfWorker
from atex_provision import LeaseJournal, Platform, Provisioner

from atex_cli.keeper import Gone, Held, Keeper, Message
from atex_cli.moments import moment
from atex_cli.preparing import Preparation
from atex_cli.progress import Progress
from atex_cli.terminal import Terminal

# Seconds for all machines to be given back, and for what prepares them to end.
GIVE_BACK_LIMIT = 100.0

_log = logging.getLogger(__name__)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the machines that were wanted."""

    missed: int
    """How many of them could not be had."""
    left: bool
    """Whether one of them may not be given back."""


class _Stop(msgspec.Struct, frozen=True):
    reason: str
    at_once: bool


class Holding:
    """Holds machines, once. Only abort() may be called from other threads, and from signal handlers."""

    def __init__(self, terminal: Terminal, progress: Progress) -> None:
        """Say on `terminal` which machines there are; what goes wrong is said by `progress`."""
        self._terminal = terminal
        self._progress = progress
        self._journal = LeaseJournal()
        self._inbox: SimpleQueue[Message | _Stop] = SimpleQueue()
        self._keepers: list[Keeper] = []
        self._running: set[int] = set()  # the keepers that have not ended
        self._held: dict[int, Held] = {}  # of these, those that have a machine
        self._missed = 0
        self._left = False
        self._stopping: _Stop | None = None
        self._deadline: float | None = None  # of giving back, by time.monotonic()

    def add(
        self,
        platform: Platform,
        factory: Callable[[], Provisioner],
        preparation: Preparation | None,
    ) -> None:
        """Hold a machine of `factory`, too, prepared where `preparation` says how."""
        self._keepers.append(
            Keeper(
                len(self._keepers) + 1,
                platform=platform,
                factory=factory,
                preparation=preparation,
                journal=self._journal,
                emit=self._inbox.put,
            )
        )

    def run(self) -> Outcome:
        """Get all machines, at the same time; return when all are given back. So they are, too, where something breaks
        here, before that is raised.
        """
        try:
            for keeper in self._keepers:
                keeper.start()
                self._running.add(keeper.number)
            while self._running and not (self._stopping and self._stopping.at_once):
                try:
                    self._take(self._inbox.get(timeout=self._remaining()))
                except Empty:
                    break
            for number in self._running:
                lease = self._held[number].lease if number in self._held else "a machine"
                self._complain_left(f"{lease} is not given back yet: `atex gc` does it")
        except BaseException:
            self._give_back()
            raise
        return Outcome(missed=self._missed, left=self._left)

    def abort(self, reason: str, *, at_once: bool = False) -> None:
        """Give all machines back; `at_once`: leave, without waiting for that. Any number of times."""
        self._inbox.put(_Stop(reason, at_once))

    def _give_back(self) -> None:
        """Give all machines back, and say nothing: it may be saying things that does not work."""
        deadline = time.monotonic() + GIVE_BACK_LIMIT
        for keeper in self._keepers:
            with contextlib.suppress(RuntimeError):  # no thread to be had: it ends a little later
                keeper.stop("atex broke")
        while self._running:
            try:
                message = self._inbox.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                break
            if isinstance(message, Gone):
                self._running.discard(message.keeper)
            elif isinstance(message, _Stop) and message.at_once:
                break
        if self._running:
            _log.warning("%d machines are not given back yet", len(self._running))

    def _remaining(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def _take(self, message: Message | _Stop) -> None:
        match message:
            case _Stop():
                self._stop(message)
            case Held(keeper=number):
                self._held[number] = message
                self._say_held(message)
                self._say_all()
            case Gone(keeper=number):
                self._running.discard(number)
                self._take_gone(message)
            case OfWorker():
                self._progress(message)

    def _stop(self, stop: _Stop) -> None:
        if self._stopping is None:
            self._deadline = time.monotonic() + GIVE_BACK_LIMIT
            self._terminal.complain(
                f"atex: {stop.reason}; machines are given back; Ctrl-C skips the waiting"
            )
            for keeper in self._keepers:
                keeper.stop(stop.reason)
        self._stopping = stop if self._stopping is None or stop.at_once else self._stopping

    def _take_gone(self, gone: Gone) -> None:
        held = self._held.pop(gone.keeper, None)
        if gone.left is not None:
            self._complain_left(gone.left)
        elif held is not None and self._stopping is None:
            self._terminal.complain(f"atex: the lease {held.lease} has ended; it is given back")
        if held is None:
            self._missed += self._stopping is None
            self._say_all()

    def _complain_left(self, words: str) -> None:
        self._left = True
        self._terminal.complain(f"atex: {self._terminal.quote(words)}")

    def _say_held(self, held: Held) -> None:
        until = f"  until {moment(held.ends)}" if held.ends is not None else ""
        prepared = "  prepared" if held.prepared else ""
        self._terminal.say(f"lease:{held.lease}  {held.machine}{until}{prepared}")
        if held.login:
            self._terminal.say(f"    {held.login}")

    def _say_all(self) -> None:
        """Say how many machines there are, when no more will come."""
        coming = self._running - self._held.keys()
        if coming or self._stopping is not None or not self._held:
            return
        wanted, held = len(self._keepers), len(self._held)
        of = f" of {wanted}" if held < wanted else ""
        words = "1 machine is" if (held, wanted) == (1, 1) else f"{held}{of} machines are"
        them = "it" if held == 1 else "them"
        self._terminal.complain(f"atex: {words} held; Ctrl-C gives {them} back")
