"""Word of the run that goes on, left on disk for the next incarnation of the session's daemon.

An agent that dies takes the run's leader with it (PDEATHSIG), but not what the leader started. The next agent
ends that before it starts a run of its own.
"""

import json
import os

from .machine import boot
from .processes import state_and_start


def remember(folder: str, pid: int) -> None:
    """Note that `pid` leads the session of the run that goes on. Raises OSError where that can not be written."""
    note = {"pid": pid, "start": state_and_start(pid)[1], "boot": boot()}
    with open(_path(folder), "wb") as file:
        file.write(json.dumps(note).encode())


def recall(folder: str) -> "tuple[int | None, str]":
    """Return the leader of the session that an earlier daemon left behind, and in words how that daemon ended.

    None and "" where no run was going on; None and words where the machine was restarted since.
    """
    try:
        with open(_path(folder), "rb") as file:
            note = json.loads(file.read().decode())
    except (OSError, ValueError):
        return None, ""
    if note["boot"] != boot():
        return None, "the machine was restarted"
    try:
        same = state_and_start(note["pid"])[1] == note["start"]
    except OSError:
        same = True  # the leader is gone; as long as its session has a member, nobody else gets that number
    return note["pid"] if same else None, "the agent was killed"


def forget(folder: str) -> None:
    """Nothing of that run is left."""
    try:
        os.unlink(_path(folder))
    except OSError:
        pass  # there was no note


def _path(folder: str) -> str:
    return os.path.join(folder, "leader")
