"""How long a run's processes live, and what ends them: spec/AGENT.md, "Who dies when".

From the start of the leader to the end of the last process that has to die:

    running --limit, cancel, abort, hang-up--> interrupted --grace--> killed --leader ends--> sweeping --> over
       \\------------------------- leader ends --------------------------------------^

A leader that was killed as a shutdown of the machine would do it rests for two seconds before the sweep.
"""

import signal

from . import processes
from .clock import Limit, now
from .descendants import Descendants
from .loop import Loop, Timer

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable

_ABORT_GRACE = 5.0  # seconds
_SHUTDOWN_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
_SHUTDOWN_PATIENCE = 2.0  # seconds; a machine that goes down kills the test before its network
_KILL_PATIENCE = 5.0  # seconds until a process that SIGKILL does not end is given up
_SWEEP_INTERVAL = 0.005  # seconds
_OF_THE_SESSION_ONLY = ("itself", "restart")  # what ends a run and spares what has left its session


class Lifetime:
    """A session that is about to be started: its time counts from now, its leader is told to `begin()`.

    `limit` is that of a run which begins now, `grace` is in seconds; `sees_all` says that all which the session leaves
    behind becomes our child. `on_over()` is called once, when nothing of it is left or what is was given up.
    """

    def __init__(
        self,
        loop: Loop,
        limit: Limit,
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
        self.left_behind: "dict[int, int]" = {}  # {pid: start} of what could not be killed
        self.limit = limit
        self._loop = loop
        self._grace = grace
        self._descendants = Descendants(sees_all)
        self._on_over = on_over
        self._leader_ended = False
        self._everyone = False  # what is swept: all that the run has started, or only its session
        self._kill_due: "float | None" = None  # when an interrupted session is killed
        self._kill_at = 0.0  # the same, and stays when that is over
        self._timer: "Timer | None" = None
        self._sweep_until = 0.0

    def begin(self, leader: int) -> None:
        """Our child `leader` leads the session."""
        self.leader = leader
        self._arm_limit()

    # Its time --------------------------------------------------------------------------------------------

    def change_limit(self, change: "Callable[[Limit, float], None]") -> None:
        """Call `change(limit, present)`. Once the time was up, or a cancel came, it changes nothing."""
        if not self.killing:
            change(self.limit, now())
            if not self._leader_ended:
                self._arm_limit()

    def stop_clock(self) -> None:
        """No time is used until `start_clock()`."""
        self.change_limit(Limit.stop)

    def start_clock(self) -> None:
        """Time is used again."""
        self.change_limit(Limit.go_on)

    def _arm_limit(self) -> None:
        if self.limit.stands_still:
            self._disarm()
        else:
            self._arm(self.limit.left(now()), self._limit_passed)

    def _limit_passed(self) -> None:
        self._notice_the_end()
        self._end("limit", signal.SIGINT, self._grace)

    @property
    def left(self) -> float:
        """Seconds until its limit and its grace have passed, below 0 where they have."""
        present = now()
        return self._kill_at - present if self._kill_at else self.limit.left(present) + self._grace

    # What else ends it -----------------------------------------------------------------------------------

    def cancel(self, grace: "float | None", why: str) -> None:
        """SIGINT, and SIGKILL after `grace` seconds (None: the run's own). Again: it only becomes sooner."""
        self._notice_the_end()
        self._end(why, signal.SIGINT, self._grace if grace is None else grace)

    def hang_up(self, grace: float) -> None:
        """The same with SIGHUP, for a run that announced a restart."""
        self._notice_the_end()
        self._end("restart", signal.SIGHUP, grace)

    def abort(self) -> None:
        """The test wants this, which is said of its end whatever came before; also behind the end of its leader."""
        # Called from within a door, which the end of the run would close: so it is not noticed here.
        self._end("abort", signal.SIGINT, _ABORT_GRACE)
        self.ended_by = "abort"

    def _notice_the_end(self) -> None:
        """It may have come before what happens now, and its signal be still on the way."""
        ended = processes.ended_child(self.leader)
        if ended is not None:
            self.leader_has_ended(*ended[1:])

    def _end(self, why: str, number: int, grace: float) -> None:
        if self._leader_ended:
            return
        if not self.killing:
            self.killing = True
            self.ended_by = why
            self._kill_later(grace)
            if grace > 0:
                processes.signal_session(self.leader, number)
        elif self._kill_due is not None and now() + grace < self._kill_due:
            self._kill_later(grace)

    def _kill_later(self, grace: float) -> None:
        self._kill_due = self._kill_at = now() + grace
        self._arm(grace, self._kill)

    def _kill(self) -> None:
        self._kill_due = None
        processes.signal_session(self.leader, signal.SIGKILL)
        self._arm(_KILL_PATIENCE, self._give_up)

    def _give_up(self) -> None:
        """SIGKILL did not end the leader: it hangs in the kernel."""
        self._leader_ended = True
        self.ended = now()
        self._everyone = self._spares_nobody
        left = self._descendants.kill(self.leader, self._everyone)
        self.left_behind = processes.starts_of({self.leader, *left})
        self._on_over()

    # The end ---------------------------------------------------------------------------------------------

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
            self._arm(_SHUTDOWN_PATIENCE, self._begin_sweep)
        else:
            self._begin_sweep()

    def finish(self, on_finished: "Callable[[], None]") -> None:
        """The doors are shut: obey an `abort` that came only now, reap the leader, call `on_finished()`."""

        def reap_and_tell() -> None:
            processes.reap(self.leader)
            on_finished()

        self._on_over = reap_and_tell
        if self._spares_nobody and not self._everyone:
            self._begin_sweep()
        else:
            reap_and_tell()

    @property
    def _spares_nobody(self) -> bool:
        return self.ended_by not in _OF_THE_SESSION_ONLY

    def _begin_sweep(self) -> None:
        self._everyone = self._spares_nobody
        self._sweep_until = now() + _KILL_PATIENCE
        self._sweep()

    def _sweep(self) -> None:
        """Kill what is left, and come back until nothing is."""
        left = self._descendants.kill(self.leader, self._everyone)
        if left and now() < self._sweep_until:
            self.killing = True
            self._arm(_SWEEP_INTERVAL, self._sweep)
            return
        self._disarm()
        self.left_behind = processes.starts_of(left)
        self._on_over()

    def _arm(self, seconds: float, callback: "Callable[[], None]") -> None:
        self._disarm()
        self._timer = self._loop.after(seconds, callback)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
