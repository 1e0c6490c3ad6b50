"""A session with the agent of one machine: one run after the other, over connections that may break.

Guarantees:

- `run()` comes back with an ending whatever happens to the machine, and from then on nothing is applied for that run.
- Each order takes effect once at most: it is sent again only to the incarnation that it was meant for.
- Every wait ends: with the agent's answer, with the loss of the machine (link.py says when), or a few seconds after
  `cancel()` and `close()`.

Threads: any thread may call the public methods, `run()` one at a time; the link's reader calls the listener's
(`attached`, `take`, `over`). `_changed` is the only lock here and guards every attribute that changes. It is held
neither while something is applied nor while it is sent: frames are queued under it, so that orders leave in the order
of their numbers, and flushed outside.
"""

import logging
import os
import shlex
import threading
import time
from collections.abc import Callable

from atex_provision import Connection
from atex_sut_agent.protocol import (
    AgentMessage,
    Alive,
    Bye,
    Cancel,
    Dropped,
    End,
    Exited,
    Failed,
    FileChunk,
    GoingDown,
    Hello,
    HostMessage,
    Noted,
    Output,
    Results,
    Start,
    Started,
    Superseded,
)

from atex_executor.attachment import Attachment
from atex_executor.ending import GONE_DOWN, Ending, death_note, infra, told_ending
from atex_executor.errors import MachineLost, ProtocolBroken, SinkError
from atex_executor.link import SILENCE, Link
from atex_executor.orders import Order, Orders

_LINGER = 3600.0  # seconds that an agent waits for its host before it ends the test (spec/AGENT.md)
_CANCEL_LIMIT = 10.0  # seconds for the agent to confirm a cancelled run, on top of the grace
_END_LIMIT = 15.0  # seconds for the agent's farewell
_TREE_CHECK_LIMIT = 30.0  # seconds

Apply = Callable[[AgentMessage, bytes], None]
"""Writes down what a message of the run says. Raises ProtocolBroken and SinkError."""

RunMessage = Started | Output | FileChunk | Results | Dropped | Noted

_log = logging.getLogger(__name__)


class _Run:
    """What goes on now."""

    def __init__(self, start: Order, apply: Apply, grace: float) -> None:
        self.start = start
        self.apply = apply
        self.grace = grace  # seconds
        self.ending: Ending | None = None
        self.applying = False  # the reader is writing something down at this moment
        self.sink_error: str | None = None  # from then on nothing is written down
        self.cancel_note: str | None = None
        self.deadline: float | None = None  # for the agent to confirm the cancel


class Session:
    """One lease of one machine by this process. `start()` first, `close()` last."""

    def __init__(
        self,
        connection: Connection,
        *,
        patience: float,
        python: str | None = None,
        work: str | None = None,
    ) -> None:
        self.id = os.urandom(16).hex()
        """By this name the agent can be attached to."""
        self._connection = connection
        self._link = Link(connection, self.id, self, patience=patience, python=python, work=work)
        self._changed = threading.Condition()
        self._hello: Hello | None = None
        self._orders = Orders()
        self._run: _Run | None = None
        self._cancelled: str | None = None  # why no run is started now
        self._lost: str | None = None  # why none can be started any more
        self._going_down = False  # the machine said so on this attachment
        self._released = False  # nothing of ours is left there
        self._over = False  # the link has ended

    # What its user does ----------------------------------------------------------------------------------

    def start(self) -> Hello:
        """Connect and attach; return what the agent says of itself.

        Raises AgentUnavailable, ProtocolBroken, and ProvisionError.
        """
        hello = self._link.start()
        with self._changed:
            self._hello = self._hello or hello  # the reader may have a newer one already
        return hello

    @property
    def lost(self) -> str | None:
        """Why this machine can take no further run; None where it can."""
        with self._changed:
            return self._lost

    def run(self, start: Start, apply: Apply) -> Ending:
        """Run `start` to its end. Another thread calls `apply` with what the run says, and not after this returns."""
        with self._changed:
            if self._lost is not None:
                return infra(self._lost)
            if self._cancelled is not None:
                return Ending(ended_by="cancel", note=self._cancelled)
            try:
                run = self._run = _Run(self._order(start), apply, start.grace)
            except ValueError as error:
                return infra(f"it could not be started: {error}")
        try:
            self._link.flush()
            return self._wait(run)
        finally:
            self._settle(run)

    def cancel(self, note: str, grace: float) -> None:
        """End what runs (SIGINT, SIGKILL after `grace` seconds), start nothing until `allow()`. Waits for nothing."""
        with self._changed:
            self._cancelled = self._cancelled or note
            if self._run is not None and self._run.ending is None:
                self._cancel_run(self._run, note, grace)
        self._link.flush()

    def allow(self) -> None:
        """Runs may be started again after `cancel()`."""
        with self._changed:
            self._cancelled = None

    def close(self) -> str | None:
        """End the agent and all that it runs. Return None, or in words what may be left on the machine.

        Takes at most 15 seconds for the agent's answer and a few to end the link. Any thread; again, too.
        """
        if not self._link.started:
            return None
        with self._changed:
            self._lost = self._lost or "the session is closed"
            self._order_end()
        self._link.hurry()
        self._link.flush()
        with self._changed:
            self._changed.wait_for(lambda: self._over, _END_LIMIT)
        self._link.stop()
        with self._changed:
            if self._released:
                return None
            return f"{self._connection.name}: the agent did not confirm its end; {self._may_run_until()}"

    # Waiting for a run -----------------------------------------------------------------------------------

    def _wait(self, run: _Run) -> Ending:
        with self._changed:
            while run.ending is None:
                left = None if run.deadline is None else run.deadline - time.monotonic()
                if left is not None and left <= 0:
                    self._lost = "the agent did not confirm that a cancelled run ended"
                    note = f"{run.cancel_note}; {self._lost}, {self._may_run_until()}"
                    run.ending = infra(note)
                    break
                self._changed.wait(left)
            return run.ending

    def _settle(self, run: _Run) -> None:
        """See to it that nothing more happens for `run`."""
        with self._changed:
            if run.ending is None:  # an exception of ours, Ctrl-C for instance, came between
                run.ending = infra("interrupted on the host")
                self._lost = self._lost or "a test was left alone there"
            self._run = None
            self._orders.forget_run()
            self._changed.wait_for(lambda: not run.applying)  # a write(2), nothing else

    # Orders; `_changed` is held --------------------------------------------------------------------------

    def _order(self, message: HostMessage) -> Order:
        order = self._orders.add(message)
        order.sent = self._link.queue(order.frame)
        return order

    def _order_end(self) -> None:
        if not self._orders.are_ending:
            self._order(End())

    def _cancel_run(self, run: _Run, note: str, grace: float) -> None:
        run.cancel_note = run.cancel_note or note
        if run.start.sent:
            self._order(Cancel(run=run.start.number, grace=grace))
            deadline = time.monotonic() + grace + _CANCEL_LIMIT
            run.deadline = min(deadline, run.deadline or deadline)
        else:
            self._orders.take_back(run.start)
            run.ending = Ending(ended_by="cancel", note=note)
        self._changed.notify_all()

    def _may_run_until(self) -> str:
        grace = self._run.grace if self._run else 0.0
        left = self._link.heard + SILENCE + _LINGER + grace - time.monotonic()
        until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(time.time() + left))
        return f"what it runs may go on until {until}"

    # What the link's reader tells ------------------------------------------------------------------------

    def attached(self, attachment: Attachment, *, reborn: bool) -> None:
        """See Listener."""
        usable = not reborn or self._is_ending() or self._has_tree(attachment.hello)
        with self._changed:
            if reborn:
                self._bury(attachment.hello)
            self._hello = attachment.hello
            self._going_down = False
            for order in self._orders.unknown_to(attachment.hello.order):
                order.sent = True
                attachment.queue(order.frame)
            self._link.use(attachment)
        if not usable:
            raise MachineLost(
                f"{self._connection.name}: its work folder {attachment.hello.folder} is gone"
            )

    def take(self, message: AgentMessage, tail: bytes) -> bool:
        """See Listener."""
        match message:
            case Alive():
                return True
            case Exited() | Failed():
                self._take_end(message)
                return True
            case Hello():
                raise ProtocolBroken("the agent said hello twice")
            case GoingDown():
                with self._changed:
                    self._going_down = True
                return True
            case Bye() | Superseded():
                with self._changed:
                    self._released = True
                if isinstance(message, Bye):
                    raise MachineLost(f"the agent ended the session: {message.reason:.500}")
                raise MachineLost("another process has taken over the session")
            case _:
                return self._apply(message, tail)

    def over(self, reason: str) -> None:
        """See Listener."""
        with self._changed:
            self._over = True
            self._lost = self._lost or reason
            if not self._released:
                self._order_end()
                reason = f"{reason}; {self._may_run_until()}"
            if self._run is not None and self._run.ending is None:
                self._run.ending = infra(reason)
            self._changed.notify_all()

    def _apply(self, message: RunMessage, tail: bytes) -> bool:
        with self._changed:
            run = self._find(message.run)
            if run is None:
                return True
            if run.sink_error is not None:
                return False
            run.applying = True
        sink_error = None
        try:
            run.apply(message, tail)
        except SinkError as error:
            sink_error = str(error)
            _log.error("%s: the run is cancelled: %s", self._connection.name, error)
        finally:
            with self._changed:
                run.applying = False
                if run.ending is not None:
                    self._changed.notify_all()  # somebody may be waiting to be left alone
                elif sink_error is not None:
                    run.sink_error = sink_error
                    self._cancel_run(run, sink_error, grace=5.0)
        return sink_error is None

    def _find(self, number: int) -> _Run | None:
        """Return the run with this number; None for one that was given up."""
        run = self._run
        if run is not None and run.start.number == number and run.ending is None:
            return run
        if self._lost is None or number > self._orders.last:
            raise ProtocolBroken(f"a message came for run {number}, which does not go on")
        return None

    def _take_end(self, message: Exited | Failed) -> None:
        with self._changed:
            run = self._find(message.run)
            if run is None:
                return
            run.ending = told_ending(message, run.cancel_note)
            if run.sink_error is not None:
                run.ending = infra(run.sink_error)
            elif self._going_down:
                run.ending = infra(GONE_DOWN)
            if isinstance(message, Exited) and message.left_behind:
                self._lost = f"{message.left_behind} processes of a test can not be killed"
            self._changed.notify_all()

    # Another incarnation ---------------------------------------------------------------------------------

    def _is_ending(self) -> bool:
        with self._changed:
            return self._orders.are_ending

    def _has_tree(self, hello: Hello) -> bool:
        """Is what the tests run in still there? A reboot may have cleaned up."""
        command = f"test -d {shlex.quote(tree_folder(hello))}"
        return self._connection.run(command, timeout=_TREE_CHECK_LIMIT).exit_code == 0

    def _bury(self, hello: Hello) -> None:
        """A new agent answers: what was sent to the old one is over, what was not is still to come."""
        away = time.monotonic() - self._link.heard
        note = death_note(self._hello or hello, hello, away=away)
        if self._going_down:
            note = GONE_DOWN
        _log.warning("%s: %s", self._connection.name, note)
        run = self._run
        if run is not None and run.start.sent and run.ending is None:
            run.ending = infra(note)
            self._changed.notify_all()
        self._orders.forget_sent()


def tree_folder(hello: Hello) -> str:
    """Return the folder, on the machine, of the session's tree."""
    return f"{hello.folder}/tree"
