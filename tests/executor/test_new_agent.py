"""Another agent answers than the one that the host knew: link.py and reception.py, over a made-up machine."""

from typing import Any, cast

import pytest
from atex_executor.approach import Approach
from atex_executor.attachment import Attachment
from atex_executor.link import Link
from atex_executor.reception import Reception
from atex_executor.running import Account, Job, Run
from atex_executor.state import State
from atex_executor.times import Times
from atex_provision import Connection
from atex_sut_agent.protocol import Hello, Start


class Found:
    """How looking for the tree ended."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code


class MadeAttachment:
    """Keeps what is to be sent."""

    def __init__(self, incarnation: str) -> None:
        self.hello = Hello(
            protocol=1,
            session="s",
            incarnation=incarnation,
            order=0,
            run=None,
            frame=1,
            folder="/w",
            archive="a",
            python="python3",
            python_version="3",
            pid=1,
            user="root",
            boot_id=f"boot of {incarnation}",
        )
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


def begin(machine: MadeMachine) -> tuple[State, Reception, Link]:
    """Attach to the first agent."""
    times = Times()
    state = State("machine", times)
    reception = Reception(state, cast(Connection, machine), become=False)
    link = Link(cast(Connection, machine), cast(Approach, machine), reception, times)
    state.link = link
    state.hello, state.attached = link.start(), True
    return state, reception, link


def new_run() -> Run:
    start = Start(script="x", folder="/w", environment={}, limit=60, grace=5, test="/t")
    return Run(Job(lambda restarts: start, cast(Account, None)), Times())


def test_a_run_is_not_started_on_a_new_agent_whose_first_attachment_failed() -> None:
    old, new, again = MadeAttachment("old"), MadeAttachment("new"), MadeAttachment("new")
    machine = MadeMachine(old, new, again)
    machine.trees = [TimeoutError("it took too long"), Found(0)]
    state, reception, link = begin(machine)
    run = state.run = new_run()
    with state.changed:
        state.order_start(run, [])
    assert old.queued
    link._detach()
    reception.detached()
    with pytest.raises(TimeoutError):
        link._try_again()
    link._try_again()
    assert again.queued == []
    assert run.ending is not None
    assert run.ending.ended_by == "infra"
