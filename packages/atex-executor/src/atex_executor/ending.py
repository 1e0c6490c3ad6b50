"""How a run ended: from the agent's own words, or from what became of the agent. Pure."""

from math import inf

import msgspec
from atex_sut_agent.protocol import Exited, Failed, Hello

from atex_executor.errors import ProtocolBroken, SinkError

GONE_DOWN = "the machine went down during this test"
_LONGEST_REASON = 1000  # characters of a reason that a machine gives
_LONGEST_NOTE = 4096  # characters of what a test says by `abort`
_SOON = 60.0  # seconds, in which a login's end kills what it left
_ENDED_BY = ("itself", "limit", "cancel", "linger", "abort", "restart")


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended, as far as the verdict is concerned."""

    ended_by: str = "itself"
    """"itself", "limit", "cancel", "linger", "abort"; "restart": ended to be started again; "infra": the host lost it,
    or it could not be started."""
    exit_code: int | None = None
    signal: int | None = None
    """That killed the process."""
    seconds: float | None = None
    limit: float = 0.0
    """Seconds, as it stood at the end."""
    error: str | None = None
    """The first thing that the test did wrong at a door of the control file."""
    agent_died: bool = False
    """The machine is still there: its agent was killed, by the test itself perhaps."""
    sink_error: SinkError | None = None
    """What kept the host from writing down what it said; no single file that was refused."""
    note: str | None = None
    """Why, where `ended_by` is "cancel", "infra" or "abort"; else what the host has to say about an end."""


def infra(note: str) -> Ending:
    """Return the ending of a run that failed for a reason which is not the test's."""
    return Ending(ended_by="infra", note=note)


def told_ending(message: Exited | Failed, cancel_note: str | None) -> Ending:
    """Return the ending that the agent tells. Raises ProtocolBroken for what no agent tells.

    `cancel_note` says why the run was cancelled, where it was.
    """
    if isinstance(message, Failed):
        return infra(f"it could not be started: {message.reason[:_LONGEST_REASON]}")
    if (
        message.ended_by not in _ENDED_BY
        or not (message.exit_code is None or 0 <= message.exit_code <= 255)
        or not (message.signal is None or 0 < message.signal <= 64)
        or message.seconds < 0
        or message.limit < 0
    ):
        raise ProtocolBroken("a run ended as none can")
    note = None
    if message.ended_by == "cancel":
        note = cancel_note or "the session was closed"
    elif message.ended_by == "abort":
        note = message.note and message.note[:_LONGEST_NOTE]
    return Ending(
        ended_by=message.ended_by,
        exit_code=message.exit_code,
        signal=message.signal,
        seconds=message.seconds,
        limit=message.limit,
        error=message.error and message.error[:_LONGEST_REASON],
        note=note,
    )


def agent_died(note: str) -> Ending:
    """Return the ending of a run whose agent died on a machine that lives, as `note` says (`death_note`)."""
    return Ending(ended_by="infra", agent_died=note != GONE_DOWN, note=note)


def death_note(before: Hello | None, after: Hello, *, away: float = inf) -> str:
    """Return what became of the agent that said `before`, now that another one says `after`.

    `away`: seconds since the first was heard.
    """
    if before is not None and (
        (before.boot_id, before.init_started) != (after.boot_id, after.init_started)
    ):
        return GONE_DOWN
    words = after.last_words[:_LONGEST_REASON] or "the agent was killed"
    note = f"the agent died during this test: {words}"
    if away < _SOON and "\n" not in words:  # it is no traceback
        note += (
            "; if processes end there with their login, `loginctl enable-linger` or KillExcludeUsers= of"
            " logind.conf keeps them"
        )
    return note
