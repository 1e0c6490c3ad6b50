"""How long a run's processes live, and what ends them: spec/AGENT.md, "Who dies when".

From the start of the leader to the end of the last process of its session:

    running --limit, cancel--> interrupted --grace--> killed --leader ends--> sweeping --> over
       \\---------------- leader ends -----------------------------------------^

A leader that was killed as a shutdown of the machine would do it rests for two seconds before the sweep.
"""

import os
import signal

from . import processes
from .clock import Limit, now
from .loop import Loop

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable

_SHUTDOWN_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
_SHUTDOWN_PATIENCE = 2.0  # seconds; a machine that goes down kills the test before its network
_KILL_PATIENCE = 5.0  # seconds until a process that SIGKILL does not end is given up
_SWEEP_INTERVAL = 0.005  # seconds


class Lifetime:
    """A session that is about to be started: its time counts from now, its leader is told to `begin()`.

    `limit` and `grace` are seconds; `sees_all` says that all which the session leaves behind becomes our child.
    `on_over()` is called once, when nothing of it is left or what is was given up.
    """

    def __init__(
        self,
        loop: Loop,
        limit: float,
        grace: float,
        sees_all: bool,
        on_over: "Callable[[], None]",
    ) -> None:
        self.leader = 0
        self.started = self.ended = now()
        self.ended_by = "itself"
        self.killing = False  # we send signals: what is unfinished now is not the test's fault
        self.exit_code: "int | None" = None
        self.signal: "int | None" = None
        self.left_behind = 0  # processes that could not be killed
        self._loop = loop
        self._limit = Limit(self.started, limit)
        self._grace = grace
        self._sees_all = sees_all
        self._on_over = on_over
        self._leader_ended = False
        self._kill_due: "float | None" = None  # when an interrupted session is killed

    def begin(self, leader: int) -> None:
        """Our child `leader` leads the session."""
        self.leader = leader
        self._timer = self._loop.after(self._limit.deadline - now(), self._limit_passed)

    @property
    def limit(self) -> float:
        """Seconds that the run may last, as it stands now."""
        return self._limit.limit

    def set_limit(self, seconds: float) -> None:
        """A new limit, counted from now. Once the time was up, or a cancel came, it changes nothing."""
        if not self.killing:
            self._limit.set(seconds, now())
            self._rearm_limit()

    def move_limit(self, seconds: float) -> None:
        """The limit grows, or shrinks where `seconds` is negative; else like `set_limit`."""
        if not self.killing:
            self._limit.move(seconds)
            self._rearm_limit()

    def cancel(self, grace: "float | None", why: str) -> None:
        """SIGINT, and SIGKILL after `grace` seconds (None: the run's own). Again: it only becomes sooner."""
        self._notice_the_end()
        grace = self._grace if grace is None else grace
        if not self._ending:
            self.ended_by = why
            self._interrupt(grace)
        elif self._kill_due is not None and now() + grace < self._kill_due:
            self._kill_later(grace)

    def leader_has_ended(self, exit_code: "int | None", number: "int | None") -> None:
        """The leader is dead and not reaped yet: until it is, nobody else gets its pid, which names the session."""
        if self._leader_ended:
            return
        self._leader_ended = True
        self._kill_due = None
        self.ended = now()
        self.exit_code = exit_code
        self.signal = number
        if number in _SHUTDOWN_SIGNALS and not self.killing:
            self._arm(_SHUTDOWN_PATIENCE, self._sweep)
        else:
            self._sweep()

    @property
    def _ending(self) -> bool:
        return self.killing or self._leader_ended

    def _arm(self, seconds: float, callback: "Callable[[], None]") -> None:
        self._timer.cancel()
        self._timer = self._loop.after(seconds, callback)

    def _rearm_limit(self) -> None:
        if not self._leader_ended:
            self._arm(self._limit.deadline - now(), self._limit_passed)

    def _limit_passed(self) -> None:
        self._notice_the_end()
        if not self._ending:
            self.ended_by = "limit"
            self._interrupt(self._grace)

    def _notice_the_end(self) -> None:
        """It may have come before what happens now, and its signal be still on the way."""
        ended = processes.ended_child(self.leader)
        if ended is not None:
            self.leader_has_ended(*ended[1:])

    def _interrupt(self, grace: float) -> None:
        self.killing = True
        self._kill_later(grace)
        if grace > 0:
            processes.signal_session(self.leader, signal.SIGINT)

    def _kill_later(self, grace: float) -> None:
        self._kill_due = now() + grace
        self._arm(grace, self._kill)

    def _kill(self) -> None:
        self._kill_due = None
        processes.signal_session(self.leader, signal.SIGKILL)
        self._arm(_KILL_PATIENCE, self._give_up)

    def _give_up(self) -> None:
        """SIGKILL did not end the leader: it hangs in the kernel."""
        self._leader_ended = True
        self.ended = now()
        self.left_behind = 1
        self._on_over()

    def _sweep(self) -> None:
        """Kill what is left of the session, and come back until nothing is."""
        # Where all that is left would be our child, having none answers without a look at /proc.
        self.left_behind = 0
        if not self._sees_all or processes.has_living_children():
            self.left_behind = processes.kill_session(self.leader)
        patience = self.ended + _SHUTDOWN_PATIENCE + _KILL_PATIENCE
        if self.left_behind and now() < patience:
            self.killing = True
            self._arm(_SWEEP_INTERVAL, self._sweep)
        else:
            self._timer.cancel()
            os.waitpid(self.leader, 0)
            self._on_over()
