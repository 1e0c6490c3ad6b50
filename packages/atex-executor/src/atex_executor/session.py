"""A session with the agent of one machine: one run after the other, over connections that may break.

Guarantees:

- `run()` comes back with an ending whatever happens to the machine, and from then on nothing is applied for that run.
- Each order takes effect once at most: it is sent again only to the incarnation that it was meant for. A run starts
  again only where it announced a restart.
- The end of a run is acknowledged only after `recorded()`: until then another process would find it there.
- Every wait ends: with the agent's answer, with the loss of the machine (link.py says when), with a decision about an
  announced restart (restart.py), or a few seconds after `cancel()` and `close()`.

Threads: any thread may call the public methods, `run()` one at a time; the link's reader calls the
`Reception`. state.py says what is guarded by which lock.
"""

import os
import time
from collections.abc import Callable

from atex_provision import CannotConnect, Connection
from atex_sut_agent.protocol import Cancel, Hello

from atex_executor.approach import Approach
from atex_executor.attachment import Launch
from atex_executor.ending import Ending, agent_died, death_note, infra
from atex_executor.errors import AgentUnavailable, SessionGone
from atex_executor.link import Link
from atex_executor.reception import Reception
from atex_executor.restart import Agent
from atex_executor.running import Begun, Job, Run
from atex_executor.state import State
from atex_executor.times import Times
from atex_executor.watch import Watch


class Session:
    """One lease of one machine. `start()` first, `close()` last.

    `session` names one that another process left; without it a new one begins. `on_busy` takes in words who has the
    machine, while `start()` waits for it.
    """

    def __init__(
        self,
        connection: Connection,
        launch: Launch,
        times: Times,
        *,
        session: str | None = None,
        on_busy: Callable[[str], None] | None = None,
    ) -> None:
        self.id = session or os.urandom(16).hex()
        """By this name the agent can be attached to."""
        self._adopted = session is not None
        self._times = times
        self._state = State(connection.name, times)
        self._reception = Reception(self._state, connection, self.id, become=launch.become)
        self._approach = Approach(connection, self.id, launch, times, on_busy)
        self._link = Link(connection, self._approach, self._reception, times)
        self._state.link = self._link
        self._changed = self._state.changed
        # Guarded by `_changed`, too:
        self._cancelled: str | None = None  # why no run is started now
        self._turn: object = None  # whose runs these are
        self._turns_cancelled: dict[object, str] = {}  # and why
        self._begun = False  # there may be an agent

    # What its user does ----------------------------------------------------------------------------------

    def start(self) -> Hello:
        """Connect and attach; return what the agent says of itself.

        Raises AgentUnavailable, MachineBusy among them, ProtocolBroken, ProvisionError, TimeoutError, and SessionGone.
        """
        try:
            hello = self._link.start()
        except (AgentUnavailable, CannotConnect):
            raise
        except BaseException:
            if not self._adopted:
                self._begin(None)  # so that it can be told to end
            raise
        self._begin(hello)
        if self._adopted:
            self._check_adopted(hello)
        return hello

    def give_up_start(self) -> bool:
        """End a `start()` that waits for a busy machine; return whether there is one."""
        return self._approach.give_up()

    @property
    def lost(self) -> str | None:
        """Why nothing can run on this machine any more; None where it can."""
        with self._changed:
            return self._state.lost

    @property
    def out_of_use(self) -> str | None:
        """Why no further test may run there: it is lost, or a test said so (`abort`)."""
        with self._changed:
            return self._state.lost or self._state.aborted

    @property
    def incarnation(self) -> str:
        """The present agent's; "" before there is one."""
        with self._changed:
            return self._state.incarnation

    def run(self, job: Job, begun: Begun | None = None) -> Ending:
        """Run `job` to its end, or go on with what another process began.

        Another thread calls what its account has, and not after this returns.
        """
        if begun is None:
            return self._see_through(Run(job, self._times), start=True)
        run = Run(job, self._times, restarts=begun.restarts)
        with self._changed:
            start = self._take_over(run, begun)
        return self._see_through(run, start=start)

    def recorded(self) -> None:
        """How the run ended is written down: the agent may forget it."""
        self._link.settle()

    def take_turn(self, turn: object) -> None:
        """What is run from here on belongs to `turn`, until the next one; None: to nothing in particular."""
        with self._changed:
            self._turn = turn

    def cancel(self, note: str, grace: float, *, turn: object = None) -> None:
        """End what runs (SIGINT, SIGKILL after `grace` seconds), start nothing until `allow()`.

        With `turn`: only what belongs to it, now and later.
        """
        with self._changed:
            if turn is None:
                self._cancelled = self._cancelled or note
            else:
                self._turns_cancelled.setdefault(turn, note)
                if turn != self._turn:
                    return
            run = self._state.run
            if run is not None and run.ending is None:
                self._state.cancel_run(run, note, grace)
        self._link.flush(self._times.confirm)

    def allow(self) -> None:
        """Runs may be started again after `cancel()`."""
        with self._changed:
            self._cancelled = None

    def close(self) -> str | None:
        """End the agent and all that it runs. Return None, or in words what may be left on the machine.

        Takes the time of two farewells at most, and a few seconds to end the link. Any thread; again, too.
        """
        state = self._state
        with self._changed:
            if not self._begun:
                return None
            state.lost = state.lost or "the session is closed"
            state.order_end()
        self._link.read()
        self._link.hurry()
        self._link.flush(self._times.farewell)
        with self._changed:
            self._changed.wait_for(lambda: state.over, self._times.farewell)
        self._link.stop()
        with self._changed:
            if state.released:
                return None
            return f"{state.machine}: the agent did not confirm its end; {state.may_run_until()}"

    # Beginning -------------------------------------------------------------------------------------------

    def _begin(self, hello: Hello | None) -> None:
        """There is an agent, or may be one. What an adopted one has to say is heard when somebody wants to know it."""
        with self._changed:
            self._begun = True
            if hello is not None:
                self._state.attached = True
                self._state.hello = hello
                self._state.orders.last = hello.order
                self._state.foreign = hello.run
        if not self._adopted:
            self._link.read()

    def _check_adopted(self, hello: Hello) -> None:
        """Raise SessionGone where it was an agent of nothing that answered; it is to be told to end."""
        try:
            there = self._reception.has_tree(hello)
        except BaseException:
            with self._changed:
                self._begun = False  # nobody knows; so it is left as it is
            self._link.stop()
            raise
        if not there:
            raise SessionGone(f"{self._state.machine}: there is no session {self.id} any more")

    def _take_over(self, run: Run, begun: Begun) -> bool:
        """Find out what became of what another process began; return whether it is still to be started."""
        state = self._state
        hello = state.hello
        if hello is None:
            run.ending = infra("the machine is not ready")
            return False
        now = time.monotonic()
        goes_on = False
        if hello.run is not None and hello.key == begun.key:
            goes_on = True
            run.number = hello.run
            run.grace = run.job.order(run.restarts).grace
            state.foreign = None
            run.attached(hello, now)
        if begun.announced is not None:
            state.announce(run, begun.announced, Agent(begun.incarnation))
            run.come_back(hello, now, runs=goes_on)
        elif not goes_on and hello.incarnation != begun.incarnation:
            run.ending = agent_died(death_note(None, hello))
        elif not goes_on and begun.restarts:
            run.ending = infra("atex was killed while it started the test again")
        return not goes_on and run.ending is None and run.restart is None

    def _dismiss_foreign(self) -> None:
        """End a run that another process began and nobody goes on with."""
        state = self._state
        with self._changed:
            if state.foreign is None:
                return
            state.order(Cancel(run=state.foreign, grace=0.0))
        self._link.flush()
        with self._changed:
            if not self._changed.wait_for(state.is_free, self._times.confirm):
                state.lost = "the agent did not confirm that an earlier run ended"

    def _see_through(self, run: Run, *, start: bool) -> Ending:
        """Start it, if it is to be started, and wait for its end."""
        state = self._state
        if start:
            self._link.read()
            self._dismiss_foreign()
        with self._changed:
            if run.ending is not None:
                return run.ending
            if state.lost is not None:
                return infra(state.lost)
            cancelled = self._cancelled or self._turns_cancelled.get(self._turn)
            if cancelled is not None:
                return Ending(ended_by="cancel", note=cancelled)
            state.run = run
            if start:
                state.order_start(run, [])
        try:
            self._link.read()  # what an adopted agent has to tell of the run
            self._link.flush()
            return Watch(state).until_end(run)
        finally:
            self._settle(run)

    def _settle(self, run: Run) -> None:
        """See to it that nothing more happens for `run`."""
        state = self._state
        with self._changed:
            if run.ending is None:  # an exception of ours, Ctrl-C for instance, came between
                run.ending = infra("interrupted on the host")
                state.lost = state.lost or "a test was left alone there"
            state.run = None
            self._link.expected_by = None
            state.orders.forget_run()
            self._changed.wait_for(lambda: not run.applying)  # a write(2), nothing else
