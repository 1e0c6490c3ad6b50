"""Word of the run that goes on, left on disk for the next incarnation of the session's daemon.

An agent that dies takes the run's leader with it (PDEATHSIG), but not what the leader started. The next agent
ends that before it starts a run of its own.
"""

import json
import os

from . import notes
from .machine import boot
from .processes import state_and_start

_LONGEST = 256  # bytes


def remember(folder: str, pid: int) -> None:
    """Note that our child `pid` leads the session of the run. Raises OSError where that can not be written."""
    notes.write(_path(folder), json.dumps([pid, state_and_start(pid)[1], boot()]).encode())


def recall(folder: str) -> "tuple[int | None, str]":
    """Return the leader of the session that an earlier daemon left behind, and in words how that daemon ended.

    None and "" where no run was going on, or a test has left something else than such a word; None and words where the
    machine was restarted since.
    """
    try:
        pid, start, then = json.loads(notes.read(_path(folder), _LONGEST).decode())
    except (OSError, ValueError, TypeError):  # what is no list of three is no note of ours
        return None, ""
    if type(pid) is not int or pid <= 1 or type(start) is not int or type(then) is not list:
        return None, ""
    if tuple(then) != boot():
        return None, "the machine was restarted"
    try:
        same = state_and_start(pid)[1] == start
    except OSError:
        same = True  # the leader is gone; as long as its session has a member, nobody else gets that number
    return pid if same else None, "the agent was killed"


def forget(folder: str) -> None:
    """Nothing of that run is left."""
    notes.remove(_path(folder))


def _path(folder: str) -> str:
    return os.path.join(folder, "leader")
