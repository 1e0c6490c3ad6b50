"""What the agent of a session tells, and what follows from it.

The link's reader calls a `Reception`, one call at a time; state.py says what is guarded by which lock. What a run says
is written down by this thread, without the lock.
"""

import logging
import shlex
import time

from atex_provision import Connection
from atex_sut_agent.protocol import (
    AgentMessage,
    Alive,
    Busy,
    Bye,
    Exited,
    Failed,
    GoingDown,
    Hello,
    Restarting,
    RunMessage,
    Superseded,
)

from atex_executor.attachment import Attachment
from atex_executor.ending import GONE_DOWN, Ending, agent_died, death_note, infra, told_ending
from atex_executor.errors import MachineLost, ProtocolBroken, SinkError
from atex_executor.places import tree_folder
from atex_executor.restart import Agent, Announced, Over
from atex_executor.running import Run
from atex_executor.state import State

_TREE_CHECK_LIMIT = 30.0  # seconds
_SINK_GRACE = 5.0  # seconds for a run whose results can not be stored

_log = logging.getLogger(__name__)


class Reception:
    """The link's listener, of `session`. `become`: as root is the session's folder looked at."""

    def __init__(self, state: State, connection: Connection, session: str, *, become: bool) -> None:
        self._state = state
        self._session = session
        self._connection = connection
        self._become = become

    def has_tree(self, hello: Hello) -> bool:
        """Is what the tests run in there? A reboot may have cleaned up. Raises ProvisionError and TimeoutError."""
        sudo = "sudo -n " if self._become else ""
        command = f"{sudo}test -d {shlex.quote(tree_folder(hello))}"
        return self._connection.run(command, timeout=_TREE_CHECK_LIMIT).exit_code == 0

    # Attachments -----------------------------------------------------------------------------------------

    def detached(self) -> None:
        """See Listener."""
        state = self._state
        with state.changed:
            state.attached = False
            if state.run is not None and state.run.restart is not None:
                state.run.restart.connection_lost()
            state.changed.notify_all()

    def attached(self, attachment: Attachment, *, reborn: bool) -> None:
        """See Listener."""
        state, hello = self._state, attachment.hello
        gone = None
        if reborn and not self._is_ending() and not self.has_tree(hello):
            gone = f"{state.machine}: its work folder {hello.folder} is gone"
        with state.changed:
            state.lost = state.lost or gone  # before somebody starts a test there
            if reborn:
                self._bury(hello)
            if gone is not None:
                state.orders.forget_run()  # not even what nobody has got yet is started there
            state.hello = hello
            state.attached, state.going_down = True, False
            if state.run is not None:
                state.run.attached(hello, time.monotonic())
            for order in state.orders.unknown_to(hello.order):
                order.sent = True
                attachment.queue(order.frame)
            state.link.use(attachment)
            state.changed.notify_all()
        if gone is not None:
            raise MachineLost(gone)

    def _is_ending(self) -> bool:
        with self._state.changed:
            return self._state.orders.are_ending

    def _bury(self, hello: Hello) -> None:
        """A new agent answers: what was sent to the old one is over, what was not is still to come."""
        state, run = self._state, self._state.run
        state.foreign = None
        state.orders.forget_sent()
        announced = run is not None and run.restart is not None
        if announced and run is not None and run.cancel_note is not None:
            run.ending = run.ending or Ending(ended_by="cancel", note=run.cancel_note)
        if announced:
            return  # restart.py knows what follows
        if run is None or not run.sent or run.ending is not None:
            _log.info("%s: the agent ended while no test ran, another one is there", state.machine)
            return
        away = time.monotonic() - state.link.heard
        note = GONE_DOWN if state.going_down else death_note(state.hello or hello, hello, away=away)
        _log.warning("%s: %s", state.machine, note)
        run.ending = agent_died(note)

    def occupied(self, session: str) -> None:
        """See Listener. A session gets a slot only where nothing is left of the one that had it before."""
        state = self._state
        with state.changed:
            if not state.orders.are_ending or session in ("", self._session):
                return
            state.released = True
        raise MachineLost("another session has the machine")

    def over(self, reason: str) -> None:
        """See Listener."""
        state = self._state
        with state.changed:
            run = state.run
            state.over, state.attached = True, False
            state.lost = state.lost or reason
            if not state.released:
                state.order_end()
                reason = f"{reason}; {state.may_run_until()}"
            if run is not None and run.ending is None:
                decision = run.restart.next(time.monotonic()) if run.restart is not None else None
                if isinstance(decision, Over):
                    state.end_restart(run, decision)
                else:
                    run.ending = infra(reason)
            state.changed.notify_all()

    # Messages --------------------------------------------------------------------------------------------

    def take(self, message: AgentMessage, tail: bytes) -> bool:
        """See Listener."""
        state = self._state
        match message:
            case Alive():
                self._note_time(message)
            case Exited() | Failed():
                return self._take_end(message)
            case Hello() | Busy():
                raise ProtocolBroken("the agent said hello twice")
            case GoingDown():
                with state.changed:
                    state.going_down = True
                    if state.run is not None and state.run.restart is not None:
                        state.run.restart.going_down()
                    state.changed.notify_all()
            case Bye() | Superseded():
                with state.changed:
                    state.released = True
                if isinstance(message, Bye):
                    raise MachineLost(f"the agent ended the session: {message.reason:.500}")
                raise MachineLost("another process has taken over the session")
            case _:
                return self._apply(message, tail)
        return True

    def _note_time(self, alive: Alive) -> None:
        with self._state.changed:
            run = self._state.run
            if run is not None and alive.left is not None:
                run.left(alive.left, time.monotonic())
                self._state.changed.notify_all()

    def _apply(self, message: RunMessage, tail: bytes) -> bool:
        state = self._state
        with state.changed:
            run = self._find(message.run)
            if run is None:
                return True
            if run.sink_error is not None:
                return False
            run.applying = True
            run.heard = state.link.heard
        sink_error: SinkError | None = None
        try:
            run.job.account.apply(message, tail)
        except SinkError as error:
            sink_error = error
            _log.error("%s: the run is cancelled: %s", state.machine, error)
        finally:
            with state.changed:
                run.applying = False
                if run.ending is not None:
                    state.changed.notify_all()  # somebody may be waiting to be left alone
                elif sink_error is not None:
                    run.sink_error = sink_error
                    state.cancel_run(run, str(sink_error), _SINK_GRACE)
                elif isinstance(message, Restarting):
                    self._announce(run, message)
        return sink_error is None

    def _announce(self, run: Run, message: Restarting) -> None:
        """A test takes the machine down, and that is noted."""
        state = self._state
        agent = Agent.of(state.hello) if state.hello is not None else Agent("")
        announced = Announced(message.clock, message.patience, time.monotonic())
        state.announce(run, announced, agent)
        _log.info("%s: the test announced a restart", state.machine)

    def _take_end(self, message: Exited | Failed) -> bool:
        state = self._state
        with state.changed:
            run = self._find(message.run)
            if run is None:
                if message.run == state.foreign:
                    state.foreign = None
                    state.changed.notify_all()
                return True
            ending = told_ending(message, run.cancel_note)
            if isinstance(message, Exited) and message.left_behind:
                state.lost = f"{message.left_behind} processes of a test can not be killed"
            if ending.ended_by == "linger":
                return False  # the farewell that follows says why the session ends
            if ending.ended_by == "abort":
                state.aborted = (
                    state.aborted or f"a test took the machine out of use: {ending.note}"
                )
            if run.sink_error is not None:
                run.ending = infra(str(run.sink_error))
            elif run.restart is not None and state.lost is not None:
                run.ending = infra(state.lost)
            elif run.restart is None and state.going_down:
                run.ending = infra(GONE_DOWN)
            else:
                run.exited(ending, time.monotonic())
            state.changed.notify_all()
            return run.ending is None

    def _find(self, number: int) -> Run | None:
        """Return the run with this number; None for one that was given up, or is nobody's any more."""
        state, run = self._state, self._state.run
        if run is not None and run.goes_on_as(number):
            return run
        given_up = state.lost is not None and number <= state.orders.last
        if given_up or number == state.foreign:
            return None
        raise ProtocolBroken(f"a message came for run {number}, which does not go on")
