"""Word of the run that goes on, left on disk for the next incarnation of the session's daemon.

An agent that dies takes the run's leader with it (PDEATHSIG), but not what the leader started. The next agent
ends that before it starts a run of its own.
"""

import json
import os

from .machine import boot
from .processes import state_and_start


def remember(folder: str, pid: int) -> None:
    """Note that our child `pid` leads the session of the run. Raises OSError where that can not be written."""
    note = json.dumps([pid, state_and_start(pid)[1], boot()]).encode()
    with open(_path(folder), "wb", buffering=0) as file:
        file.write(note)


def recall(folder: str) -> "tuple[int | None, str]":
    """Return the leader of the session that an earlier daemon left behind, and in words how that daemon ended.

    None and "" where no run was going on; None and words where the machine was restarted since.
    """
    try:
        with open(_path(folder), "rb") as file:
            pid, start, then = json.loads(file.read().decode())
    except (OSError, ValueError):
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
    try:
        os.unlink(_path(folder))
    except OSError:
        pass  # there was no note


def _path(folder: str) -> str:
    return os.path.join(folder, "leader")
