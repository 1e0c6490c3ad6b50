"""How it stands with a session: what was ordered, what runs, what is known of the machine.

Shared by those who order (session.py, watch.py) and those who are told (reception.py). Threads: `changed` is the only
lock of a session, and guards every attribute here that changes and those of `run`; the methods want it held. It is held
neither while something is written down nor while something is sent: frames are queued under it, so that orders leave in
the order of their numbers, and flushed outside.
"""

import threading
import time

from atex_sut_agent.protocol import Again, Cancel, End, Hello, HostMessage, Lengths

from atex_executor.ending import Ending, infra
from atex_executor.link import Link
from atex_executor.orders import Order, Orders
from atex_executor.restart import Agent, Announced, Over
from atex_executor.running import Run
from atex_executor.times import Times

_LATE = 1.0  # seconds after which a machine that did not come back is not tried again: who waits for it decides first


class State:
    """The state of one session. `link` is set before anything else happens."""

    link: Link

    def __init__(self, machine: str, times: Times) -> None:
        self.changed = threading.Condition()
        self.machine = machine  # its name
        self.times = times
        self.hello: Hello | None = None  # of the present agent
        self.orders = Orders()
        self.run: Run | None = None
        self.foreign: int | None = None  # a run that another process began and nobody goes on with
        self.aborted: str | None = None  # why no further test is started
        self.lost: str | None = None  # why nothing can be started any more
        self.attached = False
        self.going_down = False  # the machine said so on this attachment
        self.released = False  # nothing of ours is left there
        self.over = False  # the link has ended
        self._given_up_grace = 0.0  # of the run that was given up, which may go on there

    @property
    def incarnation(self) -> str:
        """The present agent's; "" before there is one."""
        return self.hello.incarnation if self.hello is not None else ""

    def order(self, *messages: HostMessage) -> Order:
        """Queue orders, all of them or none; return the last. Raises ValueError for what no agent would understand."""
        orders = self.orders.add(*messages)
        sent = self.link.queue(b"".join(order.frame for order in orders))
        for order in orders:
            order.sent = sent
        return orders[-1]

    def order_end(self) -> None:
        """The session is to end."""
        if not self.orders.are_ending:
            self.order(End())

    def order_start(self, run: Run, lengths: list[Lengths], again: Again | None = None) -> None:
        """Start `run`, maybe again."""
        start = run.next_start(again)
        try:
            run.start = self.order(*lengths, start)
        except ValueError as error:
            run.ending = infra(f"it could not be started: {error}")
            return
        run.number = run.start.number
        run.left(start.limit + start.grace, time.monotonic())

    def is_free(self) -> bool:
        """Is nothing there that another process began, or nobody any more?"""
        return self.foreign is None or self.lost is not None

    def cancel_run(self, run: Run, note: str, grace: float) -> None:
        """End `run`, in so many seconds."""
        run.cancel_note = run.cancel_note or note
        if run.sent and (run.restart is None or run.restart.runs):
            self.order(Cancel(run=run.number, grace=grace))
            confirm_by = time.monotonic() + grace + self.times.confirm
            run.confirm_by = min(confirm_by, run.confirm_by)
        else:
            self.orders.forget_run()
            run.ending = Ending(ended_by="cancel", note=note)
        self.changed.notify_all()

    def announce(self, run: Run, announced: Announced, agent: Agent) -> None:
        """`run` takes the machine down. Raises ProtocolBroken for what no agent says."""
        restart = run.announce(announced, agent)
        self.link.expected_by = restart.deadline + _LATE
        self.changed.notify_all()

    def end_restart(self, run: Run, over: Over) -> None:
        """Nothing more comes of an announced restart."""
        ending = over.ending
        if over.lost is not None:
            self.lost = self.lost or over.lost
            if ending.ended_by == "infra":
                ending = infra(f"{ending.note}; {self.may_run_until()}")
        run.ending = ending
        self.changed.notify_all()

    def may_run_until(self) -> str:
        """Say until when something of ours may run on a machine that does not answer, by the clock of this one.

        It is said more than once of a session, and the same each time.
        """
        times = self.times
        if self.run is not None:
            self._given_up_grace = self.run.grace
        longest = times.silence + times.linger + self._given_up_grace
        left = self.link.heard + longest - time.monotonic()
        until = time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(time.time() + left))
        return f"what it runs may go on until {until}"
