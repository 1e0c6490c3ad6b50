"""Watching over a run until it has ended: what time decides is decided here, and done.

The thread that waits for the run does all of this, under `State.changed` where it decides and without it where it acts.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from math import inf

from atex_sut_agent.protocol import Clock, HangUp

from atex_executor.ending import Ending, infra
from atex_executor.errors import SinkError
from atex_executor.restart import EndWhatIsLeft, Over, StartAgain, Wait
from atex_executor.running import Run
from atex_executor.state import State

_LONGEST_WAIT = 3600.0  # seconds; then one looks again

_log = logging.getLogger(__name__)

Step = Callable[[], None]
"""Something to be done for a run, without the lock."""


class Watch:
    """Ends a run that is not confirmed, overdue or lost, and brings one back that announced a restart."""

    def __init__(self, state: State) -> None:
        self._state = state

    def until_end(self, run: Run) -> Ending:
        """Wait for the end of `run`, and do for it what is to be done meanwhile."""
        while True:
            with self._state.changed:
                step = self._await_step(run)
                if run.ending is not None:
                    return run.result(run.ending)
            step()

    def _await_step(self, run: Run) -> Step:
        """Return when the run has ended, or something is to be done for it."""
        while run.ending is None:
            now = time.monotonic()
            step, wake = self._next_step(run, now)
            if step is not None:
                return step
            if run.ending is None:
                self._state.changed.wait(min(wake - now, _LONGEST_WAIT))
        return lambda: None

    def _next_step(self, run: Run, now: float) -> tuple[Step | None, float]:
        """Return what is to be done now, or else when to look again. May end the run."""
        state = self._state
        if now >= run.confirm_by:
            state.lost = "the agent did not confirm that a cancelled run ended"
            run.ending = infra(f"{run.cancel_note}; {state.lost}, {state.may_run_until()}")
        elif state.attached and now >= run.due:
            state.lost = "the agent does not end a run whose time and grace have passed"
            run.ending = infra(f"{state.lost}; {state.may_run_until()}")
        if run.ending is None and run.restart is not None:
            match run.restart.next(now):
                case Wait(until):
                    return None, min(until, run.confirm_by, run.due if state.attached else inf)
                case EndWhatIsLeft():
                    state.order(HangUp(run=run.number))
                    return self._state.link.flush, now
                case StartAgain() if state.lost is not None:
                    run.ending = infra(state.lost)
                case StartAgain(clock):
                    return partial(self._start_again, run, clock), now
                case Over() as over:
                    state.end_restart(run, over)
        return None, min(run.confirm_by, run.due if state.attached else inf)

    def _start_again(self, run: Run, clock: Clock) -> None:
        """The machine is back."""
        _log.info("%s: back from an announced restart", self._state.machine)
        with self._state.changed:
            incarnation = self._state.incarnation
        try:
            lengths, again = run.job.account.again(clock, incarnation=incarnation)
        except SinkError as error:
            with self._state.changed:
                run.sink_error = error
                run.ending = run.ending or infra(str(error))
            return
        with self._state.changed:
            if run.ending is None:
                self._state.link.expected_by = None
                run.restart = None
                run.restarts += 1
                self._state.order_start(run, list(lengths), again)
        self._state.link.flush()
