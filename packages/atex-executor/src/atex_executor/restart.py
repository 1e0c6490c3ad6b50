"""What becomes of a run after its test announced that it takes the machine down: spec/CONTROL_FILE.md, "Going down and
coming back".

Pure: the caller tells what happens and when, in seconds of one clock, and carries out what `next()` decides.
"""

from enum import Enum, auto
from math import inf

import msgspec
from atex_sut_agent.protocol import Clock, Hello

from atex_executor.ending import Ending, infra
from atex_executor.verdict import human_duration

NEVER_WENT = "it announced a restart, and the machine did not go down"


class Announced(msgspec.Struct, frozen=True):
    """A restart that a test announced."""

    clock: Clock  # of the run, then
    patience: float | None  # seconds that it gives the machine, if it said
    at: float  # when


class Wait(msgspec.Struct, frozen=True):
    """Nothing is to be done before `until`, unless something happens."""

    until: float


class EndWhatIsLeft(msgspec.Struct, frozen=True):
    """Order what still runs of the first start to end (HangUp)."""


class StartAgain(msgspec.Struct, frozen=True):
    """Start the test again, with this clock."""

    clock: Clock


class Over(msgspec.Struct, frozen=True):
    """The run ends so. `lost`: nobody knows when the machine goes down or comes back, so it takes no further run."""

    ending: Ending
    lost: str | None = None


Decision = Wait | EndWhatIsLeft | StartAgain | Over


class Agent(msgspec.Struct, frozen=True):
    """An agent, and the machine's boot that it lives in (None: not known)."""

    incarnation: str
    boot: tuple[str, int] | None = None

    @classmethod
    def of(cls, hello: Hello) -> "Agent":
        """The one that says this."""
        return cls(hello.incarnation, (hello.boot_id, hello.init_started))


class _Way(Enum):
    """Where the machine is, as far as one can tell."""

    NEVER_LEFT = auto()  # the connection has held since the announcement
    AWAY = auto()
    BACK = auto()  # attached again, maybe only until sshd is stopped
    NEW = auto()  # attached, and it has booted: no doubt about that


class Restart:
    """One announced restart of a run, from the announcement to the decision what becomes of the run."""

    def __init__(
        self, announced: Announced, agent: Agent, *, settle: float, exit_wait: float
    ) -> None:
        """`agent` told of it; `settle` and `exit_wait` are those of Times."""
        self._clock = announced.clock
        self._patience = announced.patience
        self._at = announced.at
        self._agent = agent
        self._settle = settle
        self._exit_wait = exit_wait
        self._way = _Way.NEVER_LEFT
        self._attached_at = announced.at
        self._agent_lives = True  # the one that told of it
        self._going_down = False  # it says so, on this attachment
        self._told_to_end = False
        self._exited: Ending | None = None
        self._exited_at = announced.at

    @property
    def runs(self) -> bool:
        """May something of the first start still run there?"""
        return self._agent_lives and self._exited is None

    @property
    def deadline(self) -> float:
        """When the machine has to be back at the latest."""
        return min(self._time_is_up_at, self._patience_ends_at)

    # What happens ----------------------------------------------------------------------------------------

    def connection_lost(self) -> None:
        """Nobody answers there."""
        self._way = _Way.AWAY
        self._going_down = False

    def attached(self, hello: Hello, now: float) -> None:
        """An agent answers."""
        agent, self._attached_at = Agent.of(hello), now
        self._agent_lives = self._agent_lives and agent.incarnation == self._agent.incarnation
        booted = self._agent.boot not in (None, agent.boot)
        self._way = _Way.NEW if booted and not self._agent_lives else _Way.BACK

    def going_down(self) -> None:
        """The agent says that the machine goes down."""
        self._going_down = True

    def exited(self, ending: Ending, now: float) -> None:
        """The first start is over, and ended so."""
        self._exited, self._exited_at = ending, now

    # What follows ----------------------------------------------------------------------------------------

    def next(self, now: float) -> Decision:
        """Return what is to be done now. After EndWhatIsLeft and StartAgain it was done."""
        exited = self._exited
        if exited is not None and exited.ended_by not in ("itself", "restart"):
            return Over(exited)  # of the machine nothing bad is known
        if now >= self._time_is_up_at and not (self._connected and self.runs):
            # Where it still runs its agent ends it, and tells.
            return Over(
                Ending(ended_by="limit", limit=self._clock.limit),
                lost=None
                if self._connected and not self._going_down
                else self._not_back("the test's duration"),
            )
        if self._stays and not self._going_down:
            return self._go_on(now)
        if self._way is _Way.NEVER_LEFT and exited is not None and not self._going_down:
            due = self._patience_ends_at
            if self._patience is None:
                due = self._exited_at + self._exit_wait
            if now >= due:
                return Over(msgspec.structs.replace(exited, note=NEVER_WENT))
            return Wait(min(due, self._time_is_up_at))
        if now >= self._patience_ends_at:
            reason = self._not_back(human_duration(self._patience or 0.0))
            return Over(infra(reason), lost=reason)
        return Wait(self._patience_ends_at if self._connected and self.runs else self.deadline)

    def _go_on(self, now: float) -> Decision:
        """The machine is back, or seems to be."""
        settled_at = (
            self._attached_at if self._way is _Way.NEW else self._attached_at + self._settle
        )
        if now < settled_at:
            return Wait(settled_at if self.runs else min(settled_at, self._time_is_up_at))
        if not self.runs:
            clock = self._clock
            return StartAgain(msgspec.structs.replace(clock, used=clock.used + now - self._at))
        if not self._told_to_end:
            self._told_to_end = True
            return EndWhatIsLeft()
        return Wait(inf)

    @property
    def _stays(self) -> bool:
        return self._way in (_Way.BACK, _Way.NEW)

    @property
    def _connected(self) -> bool:
        return self._way is not _Way.AWAY

    @property
    def _time_is_up_at(self) -> float:
        return self._at + self._clock.limit - self._clock.used

    @property
    def _patience_ends_at(self) -> float:
        return inf if self._patience is None else self._at + self._patience

    def _not_back(self, limit: str) -> str:
        return f"the machine did not come back from an announced restart within {limit}"
