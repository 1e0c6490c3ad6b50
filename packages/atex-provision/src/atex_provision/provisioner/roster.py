"""Whose turn it is: which slots of a pool's hosts are free, in use, taken by others, or of a host that
has failed.

No threads and no clock: whoever calls holds a lock and says what time it is, in seconds of a clock
that does not jump. A call costs log(slots), unless it wakes several slots of a host.

Each slot is free, or in use by us, or taken by somebody else (or kept: nobody uses it, and it is
somebody's nevertheless), or parked because its host has failed.
A host that has failed is tried again, with one slot at a time, when its pause is over and no other
host is free. Another failure doubles the pause; a success ends it. One that was well before, in this
pool, is worth waiting for, until its next trial would come after the patience.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Sequence

import msgspec

from atex_provision.host import Host

LONGEST = 20  # times the first pause
LOOK = 1.0  # seconds between two looks at what somebody else has
LOOKS = 20.0  # such looks in a second, at most, at all that others have


class Slot(msgspec.Struct, frozen=True):
    """Room for one lease on a host."""

    host: Host
    name: str


class _Failure:
    """What is wrong with a host, and which of its slots wait for it to be over."""

    def __init__(self, pause: float, now: float) -> None:
        self.reason = ""
        self.since = now
        self.pause = pause
        self.until = now + pause
        self.permanent = False
        self.trial: Slot | None = None  # in use to see whether the host is well again
        self.parked: deque[Slot] = deque()

    def may_be_tried(self, now: float) -> bool:
        """Whether it is time for that, and a slot is there and none at it."""
        due = self.until <= now and not self.permanent
        return due and self.trial is None and bool(self.parked)


class Roster:
    """The slots of all hosts."""

    def __init__(self, hosts: Sequence[Host], pause: float, patience: float = 0.0) -> None:
        """`pause`: seconds for which a host that has failed is left alone, the first time. `patience`:
        seconds from then on for which one that was well before is waited for.
        """
        self._pause = pause
        self._patience = patience
        # The hosts get one test each before any of them gets a second one.
        rounds = itertools.zip_longest(
            *([Slot(host, name) for name in host.slots] for host in hosts)
        )
        self._free = deque(slot for slots in rounds for slot in slots if slot is not None)
        self._in_use: set[Slot] = set()
        self._taken: dict[Slot, str] = {}  # by whom, in words
        self._kept: dict[Slot, str] = {}
        self._failures: dict[Host, _Failure] = {}
        self._served: set[Host] = set()  # was well once
        # What comes due, the earliest first. Whether it still matters is seen when it comes up.
        self._looks: list[tuple[float, int, Slot]] = []
        self._trials: list[tuple[float, int, Host]] = []
        self._serials = itertools.count()

    def take(self, now: float) -> Slot | None:
        """A slot, in use from now on: the one that has been free for longest, of a host that is well,
        or else one of a host that is to be tried again. None if there is none now.
        """
        while self._looks and self._looks[0][0] <= now:
            slot = heapq.heappop(self._looks)[2]
            self._taken.pop(slot, None)
            self._kept.pop(slot, None)
            self._free.append(slot)
        while self._free:
            slot = self._free.popleft()
            if slot.host not in self._failures:
                return self._use(slot)
            self._park(slot)
        while self._trials and self._trials[0][0] <= now:
            failure = self._failures.get(heapq.heappop(self._trials)[2])
            if failure and failure.may_be_tried(now):
                failure.trial = failure.parked.popleft()
                return self._use(failure.trial)
        return None

    def due(self) -> float | None:
        """After take() found none: when it may find one although none was given back."""
        return min((queue[0][0] for queue in (self._looks, self._trials) if queue), default=None)

    def hopeless(self) -> bool:
        """After take() found none: whether there is nobody to wait for, since all hosts have failed or
        are kept, and none that failed is waited for.
        """
        return not self._in_use and not self._taken and not self._awaited()

    def away(self) -> str | None:
        """After take() found none: why the first host failed that is waited for, if there is nobody
        else to wait for.
        """
        trials = (failure.trial for failure in self._failures.values())
        if self._taken or not self._in_use.issubset(trials):
            return None
        return next((failure.reason for failure in self._awaited()), None)

    def give_back(self, slot: Slot) -> None:
        """A slot that was in use is free."""
        self._leave(slot)
        self._free.append(slot)

    def succeed(self, slot: Slot) -> None:
        """The host of a slot in use is well."""
        self._served.add(slot.host)
        if failure := self._failures.pop(slot.host, None):
            self._free.extend(failure.parked)

    def set_aside(self, slot: Slot, reason: str, now: float, *, permanent: bool) -> float | None:
        """The host of a slot in use has failed, the slot is not in use any more. Returns when the
        host is tried again; None: never.
        """
        failure = self._failures.get(slot.host)
        if failure is None:
            failure = self._failures[slot.host] = _Failure(self._pause, now)
        elif failure.trial == slot:  # all others began before the host was known to be bad
            failure.pause = min(2 * failure.pause, LONGEST * self._pause)
            failure.until = now + failure.pause
        failure.reason = reason
        failure.permanent |= permanent
        self._leave(slot)
        self._park(slot)
        return None if failure.permanent else failure.until

    def lend(self, slot: Slot, holder: str, now: float, *, kept: bool) -> None:
        """A slot that was in use is somebody else's: `holder`, in words."""
        self._leave(slot)
        (self._kept if kept else self._taken)[slot] = holder
        look = now + max(LOOK, len(self._looks) / LOOKS)
        heapq.heappush(self._looks, (look, next(self._serials), slot))

    def holders(self) -> tuple[str, int]:
        """Who has the slot that has been somebody else's for longest, and how many there are."""
        holders = itertools.chain(self._taken.values(), self._kept.values())
        return next(holders, ""), len(self._looks)

    def reasons(self) -> list[str]:
        """Why there is no hope."""
        failures = (failure.reason for failure in self._failures.values())
        return [*failures, *self._kept.values()]

    def _awaited(self) -> list[_Failure]:
        return [
            failure
            for host, failure in self._failures.items()
            if host in self._served
            and not failure.permanent
            and failure.until < failure.since + self._patience
        ]

    def _use(self, slot: Slot) -> Slot:
        self._in_use.add(slot)
        return slot

    def _leave(self, slot: Slot) -> None:
        self._in_use.remove(slot)
        failure = self._failures.get(slot.host)
        if failure and failure.trial == slot:
            failure.trial = None
            self._plan_trial(slot.host, failure)

    def _park(self, slot: Slot) -> None:
        failure = self._failures[slot.host]
        failure.parked.append(slot)
        self._plan_trial(slot.host, failure)

    def _plan_trial(self, host: Host, failure: _Failure) -> None:
        if not failure.permanent:
            heapq.heappush(self._trials, (failure.until, next(self._serials), host))
