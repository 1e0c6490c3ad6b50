"""Who waits for a host of a pool.

`HostQueue._changed`, a condition, guards `_roster`. One thread is woken for whatever may be of use to
somebody, and whoever leaves, with a slot or without, wakes the next: there is always one that
watches the clock, and never a crowd.
"""

import threading
import time
from collections.abc import Callable, Sequence

from atex_provision.errors import Aborted, NoMachine, ProvisionError
from atex_provision.host import Host
from atex_provision.provisioner.roster import Roster, Slot


class HostQueue:
    """Deals out the slots of hosts to the threads of this process."""

    def __init__(self, hosts: Sequence[Host], pause: float, patience: float = 0.0) -> None:
        """`pause`: seconds for which a host that has failed is left alone, the first time. `patience`:
        seconds for which one is waited for that was well before.
        """
        self._changed = threading.Condition()
        self._roster = Roster(hosts, pause, patience)

    def take(self, over: threading.Event, say: Callable[[str], None]) -> Slot:
        """Waits for a slot. `say` is told what for, in words.

        Raises Aborted when `over` is set and wake() called, NoMachine when all hosts have failed or are kept,
        and none that failed is worth waiting for.
        """
        try:
            return self._wait(over, say)
        finally:
            with self._changed:
                self._changed.notify()

    def wake(self) -> None:
        """Makes those who wait look at what they wait for, and whether it is over."""
        with self._changed:
            self._changed.notify_all()

    def give_back(self, slot: Slot) -> None:
        """The slot is free."""
        with self._changed:
            self._roster.give_back(slot)
            self._changed.notify()

    def succeed(self, slot: Slot) -> None:
        """The slot is in use, and its host is well."""
        with self._changed:
            self._roster.succeed(slot)
            self._changed.notify()

    def set_aside(self, slot: Slot, error: ProvisionError) -> str:
        """The slot's host has failed. Returns what will become of it, in words."""
        with self._changed:
            now = time.monotonic()
            until = self._roster.set_aside(slot, str(error), now, permanent=error.permanent)
            self._changed.notify()  # as in lend(): whoever calls need not come back
        if until is None:
            return f"{error}; it is not tried again"
        return f"{error}; set aside for {max(0, round(until - now))} s"

    def lend(self, slot: Slot, holder: str, *, kept: bool) -> None:
        """Somebody else has the slot: `holder`, in words. If it was `kept`, it may be his for long, and
        is worth no waiting.
        """
        with self._changed:
            self._roster.lend(slot, holder, time.monotonic(), kept=kept)
            self._changed.notify()  # perhaps there is no hope any more

    def _wait(self, over: threading.Event, say: Callable[[str], None]) -> Slot:
        said = None
        while True:
            with self._changed:
                if over.is_set():
                    raise Aborted("the reservation was aborted while it waited for a host")
                now = time.monotonic()
                if slot := self._roster.take(now):
                    return slot
                if self._roster.hopeless():
                    reasons = "".join(f"\n  {reason}" for reason in self._roster.reasons())
                    raise NoMachine(f"no host of the pool can be used:{reasons}")
                words = self._words()
                if words == said:
                    due = self._roster.due()
                    self._changed.wait(None if due is None else max(0.0, due - now))
                    continue
            say(words)
            said = words

    def _words(self) -> str:
        """To be called with the lock."""
        away = self._roster.away()
        if away is not None:
            return f"no host can be used now; those that could before are waited for: {away}"
        holder, count = self._roster.holders()
        if not count:
            return "all hosts are in use"
        others = f", and {count - 1} more are not free" if count > 1 else ""
        return f"a host is not free: {holder}{others}"
