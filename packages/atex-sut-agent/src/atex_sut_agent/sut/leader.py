"""The leader of a run's session, named so that whoever comes later does not take another process for it.

That name is left in the session's folder for the next incarnation of its daemon, and in the slot's words for others. An
agent that dies takes the run's leader with it (PDEATHSIG), but not what the leader started. The next agent ends that
before it starts a run of its own.
"""

import json
import os

from . import notes
from .machine import boot
from .processes import state_and_start

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from typing import Any

_LONGEST = 256  # bytes


def identify(pid: int) -> "list[Any]":
    """Return what `find()` finds process `pid` by, while its session has members. Raises OSError where it is gone."""
    return [pid, state_and_start(pid)[1], *boot()]


def find(identity: "Any") -> "tuple[int | None, str]":
    """Return the pid that leads, or led, the session of what is left, and in words how the agent above it ended.

    None and "" where `identity`, which anybody may have written, is none; None and words where the machine was
    restarted since, or the number is another process's.
    """
    try:
        pid, start, boot_id, init_started = identity
    except (TypeError, ValueError):
        return None, ""
    if [type(part) for part in (pid, start, boot_id, init_started)] != [
        int,
        int,
        str,
        int,
    ] or pid <= 1:
        return None, ""
    if (boot_id, init_started) != boot():
        return None, "the machine was restarted"
    try:
        same = state_and_start(pid)[1] == start
    except OSError:
        same = True  # the leader is gone; as long as its session has a member, nobody else gets that number
    return pid if same else None, "the agent was killed"


def remember(folder: str, identity: "list[Any]") -> None:
    """Note that a run goes on, which this process leads. Raises OSError where that can not be written."""
    notes.write(_path(folder), json.dumps(identity).encode())


def recall(folder: str) -> "tuple[int | None, str]":
    """Return what `find()` says of the run that an earlier daemon left behind; None and "" where there was none."""
    try:
        return find(json.loads(notes.read(_path(folder), _LONGEST).decode()))
    except (OSError, ValueError):
        return None, ""


def forget(folder: str) -> None:
    """Nothing of that run is left."""
    notes.remove(_path(folder))


def _path(folder: str) -> str:
    return os.path.join(folder, "leader")
