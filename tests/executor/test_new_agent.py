"""Another agent answers than the one that the host knew: link, reception and session, over a made-up machine."""

import time
from typing import Any, cast

import pytest
from atex_executor.approach import Approach
from atex_executor.attachment import Attachment, Launch
from atex_executor.errors import MachineLost
from atex_executor.restart import Agent, Announced
from atex_executor.running import Account, Job, Run
from atex_executor.session import Session
from atex_executor.times import Times
from atex_executor.watch import Watch
from atex_provision import Connection
from atex_sut_agent.protocol import Clock, Start

from tests.executor.hellos import hello


class Found:
    """How looking for the tree ended."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code


class MadeAttachment:
    """Keeps what is to be sent."""

    def __init__(self, incarnation: str) -> None:
        self.hello = hello(incarnation=incarnation, boot_id=f"boot of {incarnation}")
        self.queued: list[bytes] = []

    def queue(self, frame: bytes) -> None:
        self.queued.append(frame)

    def flush(self, limit: float) -> None:
        """Nothing is behind it."""

    def close(self) -> None:
        """The same."""


class MadeMachine:
    """An approach to one agent after the other, and the connection over which their trees are looked for."""

    name = "machine"

    def __init__(self, *attachments: MadeAttachment) -> None:
        self._attachments = list(attachments)
        self.trees: list[Any] = []  # what comes of looking, in order

    def attach(self) -> Attachment:
        return cast(Attachment, self._attachments.pop(0))

    attach_when_free = attach

    def run(self, command: str, *, timeout: float) -> Any:
        found = self.trees.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


def begin(machine: MadeMachine) -> tuple[Session, Run]:
    """Attach to the first agent, and start a run there."""
    session = Session(cast(Connection, machine), Launch(), Times())
    session._link._approach = cast(Approach, machine)
    state = session._state
    state.hello, state.attached = session._link.start(), True
    return session, order_run(session)


def order_run(session: Session) -> Run:
    """Start a run, on whoever is attached, or will be."""
    state = session._state
    start = Start(script="x", folder="/w", environment={}, limit=60, grace=5, test="/t")
    run = state.run = Run(Job(lambda restarts: start, cast(Account, None)), Times())
    with state.changed:
        state.order_start(run, [])
    return run


def lose(session: Session) -> None:
    """The connection is gone."""
    session._link._detach()
    session._reception.detached()


def test_a_run_is_not_started_on_a_new_agent_whose_first_attachment_failed() -> None:
    old, new, again = MadeAttachment("old"), MadeAttachment("new"), MadeAttachment("new")
    machine = MadeMachine(old, new, again)
    machine.trees = [TimeoutError("it took too long"), Found(0)]
    session, run = begin(machine)
    assert old.queued
    lose(session)
    with pytest.raises(TimeoutError):
        session._link._try_again()
    session._link._try_again()
    assert again.queued == []
    assert run.ending is not None
    assert run.ending.ended_by == "infra"


def test_a_run_does_not_go_on_where_the_restart_cost_its_tree() -> None:
    old, new = MadeAttachment("old"), MadeAttachment("new")
    machine = MadeMachine(old, new)
    machine.trees = [Found(1)]
    session, run = begin(machine)
    announced = Announced(Clock(used=1.0, limit=60.0), None, time.monotonic())
    with session._changed:
        session._state.announce(run, announced, Agent.of(old.hello))
    lose(session)
    with pytest.raises(MachineLost, match="its work folder /w is gone"):
        session._link._try_again()
    with session._changed:
        Watch(session._state)._next_step(run, time.monotonic())
    assert run.ending is not None
    assert run.ending.note == "machine: its work folder /w is gone"


def test_what_nobody_has_got_yet_is_not_started_where_the_tree_is_gone() -> None:
    old, new = MadeAttachment("old"), MadeAttachment("new")
    machine = MadeMachine(old, new)
    machine.trees = [Found(1)]
    session, _ = begin(machine)
    lose(session)
    run = order_run(session)
    with pytest.raises(MachineLost) as lost:
        session._link._try_again()
    session._reception.over(str(lost.value))
    (end,) = new.queued
    assert b'"kind":"end"' in end
    assert run.ending is not None
    assert run.ending.note is not None
    assert run.ending.note.startswith("machine: its work folder /w is gone; what it runs may go on")
