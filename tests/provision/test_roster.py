"""Whose turn it is, whatever happens to the hosts: checked against what a pool promises."""

from atex_provision import Host
from atex_provision.provisioner.roster import LONGEST, LOOK, LOOKS, Roster, Slot
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

PAUSE = 30.0


class Pool(RuleBasedStateMachine):
    """A roster, and what is known of each slot and host."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.hosts = [Host(address=f"h{n}", slots=("0", "1")[: 1 + n % 2]) for n in range(4)]
        self.roster = Roster(self.hosts, PAUSE)
        self.free = [Slot(host, name) for host in self.hosts for name in host.slots]
        self.in_use: list[Slot] = []
        self.elsewhere: dict[Slot, float] = {}  # when one looks again
        self.kept: set[Slot] = set()  # of these, what is worth no waiting
        self.pause: dict[Host, float] = {}
        self.until: dict[Host, float] = {}
        self.permanent: set[Host] = set()
        self.trials: dict[Host, Slot] = {}

    @rule()
    def take_one(self) -> None:
        self.take()

    def take(self) -> bool:
        for look in [slot for slot, look in self.elsewhere.items() if look <= self.now]:
            del self.elsewhere[look]
            self.kept.discard(look)
            self.free.append(look)
        slot = self.roster.take(self.now)
        well = [slot for slot in self.free if slot.host not in self.until]
        due = [
            slot
            for slot in self.free
            if self.until.get(slot.host, self.now + 1) <= self.now
            and slot.host not in self.permanent
            and slot.host not in self.trials
        ]
        if well:
            assert slot in well
        elif due:
            assert slot in due
        else:
            assert slot is None
            assert self.roster.hopeless() == (not self.in_use and self.kept == {*self.elsewhere})
        if slot is not None:
            self.free.remove(slot)
            self.in_use.append(slot)
            if slot.host in self.until:
                self.trials[slot.host] = slot
        return slot is not None

    def leave(self, data: st.DataObject) -> Slot:
        slot = data.draw(st.sampled_from(self.in_use))
        self.in_use.remove(slot)
        return slot

    @precondition(lambda self: self.in_use)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        slot = self.leave(data)
        self.roster.give_back(slot)
        self.no_trial(slot)
        self.free.append(slot)

    @precondition(lambda self: self.in_use)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(self.in_use))
        self.roster.succeed(slot)
        self.pause.pop(slot.host, None)
        self.trials.pop(slot.host, None)
        self.permanent.discard(slot.host)
        self.until.pop(slot.host, None)

    @precondition(lambda self: self.in_use)
    @rule(data=st.data(), permanent=st.sampled_from([False] * 4 + [True]))
    def fail(self, data: st.DataObject, permanent: bool) -> None:
        slot = self.leave(data)
        until = self.roster.set_aside(slot, f"{slot.name} fails", self.now, permanent=permanent)
        if slot.host not in self.pause:
            self.pause[slot.host] = PAUSE
            self.until[slot.host] = self.now + PAUSE
        elif self.trials.get(slot.host) == slot:
            self.pause[slot.host] = min(2 * self.pause[slot.host], LONGEST * PAUSE)
            self.until[slot.host] = self.now + self.pause[slot.host]
        if permanent:
            self.permanent.add(slot.host)
        self.no_trial(slot)
        self.free.append(slot)
        assert until == (None if slot.host in self.permanent else self.until[slot.host])

    @precondition(lambda self: self.in_use)
    @rule(data=st.data(), kept=st.booleans())
    def lend(self, data: st.DataObject, kept: bool) -> None:
        slot = self.leave(data)
        self.roster.lend(slot, f"somebody has {slot.name}", self.now, kept=kept)
        if kept:
            self.kept.add(slot)
        self.no_trial(slot)
        self.elsewhere[slot] = self.now + LOOK  # there are too few for longer pauses

    @rule(seconds=st.sampled_from([0.3, 1.0, 5.0, 30.0, 100.0, 700.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def wait_for_a_slot(self) -> None:
        """Nobody waits in vain, or for longer than must be."""
        while self.take():
            pass
        looks = dict.fromkeys(self.free, self.now) | self.elsewhere
        times = [
            max(look, self.until.get(slot.host, 0))
            for slot, look in looks.items()
            if slot.host not in self.permanent and slot.host not in self.trials
        ]
        while (due := self.roster.due()) is not None:
            assert due > self.now
            self.now = due
            if self.take():
                break
        assert (due is None) == (not times)
        assert due is None or due == min(times)

    def no_trial(self, slot: Slot) -> None:
        if self.trials.get(slot.host) == slot:
            del self.trials[slot.host]

    @invariant()
    def everybody_is_named(self) -> None:
        assert len(self.roster.reasons()) == len(self.until) + len(self.kept)
        assert self.roster.holders()[1] == len(self.elsewhere)


TestPool = Pool.TestCase
TestPool.settings = settings(max_examples=60, stateful_step_count=30)


def test_the_slot_that_has_been_free_for_longest_comes_first() -> None:
    one, two = Host(address="one", slots=("0", "1")), Host(address="two")
    roster = Roster([one, two], PAUSE)
    slots = [roster.take(0) for _ in range(3)]
    assert slots == [Slot(one, "0"), Slot(two, "0"), Slot(one, "1")]  # each host once, then again
    assert roster.take(0) is None
    for slot in (slots[1], slots[2], slots[0]):
        assert slot is not None
        roster.give_back(slot)
    assert [roster.take(0) for _ in range(3)] == [slots[1], slots[2], slots[0]]


def test_what_others_have_is_not_looked_at_all_the_time() -> None:
    """One look a second at each, and never more than LOOKS a second."""
    roster = Roster([Host(address=f"h{n}") for n in range(200)], PAUSE)
    now, looks = 0.0, 0
    while now < 100:
        while slot := roster.take(now):
            roster.lend(slot, "somebody has it", now, kept=False)
            looks += now > 0
        assert roster.due() is not None
        now = max(now + 0.01, roster.due() or 0)
    assert 100 * LOOKS * 0.8 < looks < 100 * LOOKS * 1.2
    assert roster.holders() == ("somebody has it", 200)
