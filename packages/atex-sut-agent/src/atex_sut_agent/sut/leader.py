"""Word of the run that goes on, left on disk for the next incarnation of the session's daemon.

An agent that dies takes the run's leader with it (PDEATHSIG), but not what the leader started. The next agent
ends that before it starts a run of its own.
"""

import json
import os

from .machine import boot
from .processes import state_and_start


def remember(folder: str, pid: int) -> None:
    """Note that `pid` leads the session of the run that goes on."""
    try:
        note = {"pid": pid, "start": state_and_start(pid)[1], "boot": boot()}
    except OSError:
        return  # it has ended already
    with open(os.path.join(folder, "leader"), "w") as file:
        json.dump(note, file)


def recall(folder: str) -> "int | None":
    """Return the pid of the noted leader where its session may still have members, else None; forget the note."""
    path = os.path.join(folder, "leader")
    try:
        with open(path) as file:
            note = json.load(file)
        os.unlink(path)
    except (OSError, ValueError):
        return None
    if note["boot"] != boot():
        return None  # the machine was restarted, nothing of that time lives
    try:
        same = state_and_start(note["pid"])[1] == note["start"]
    except OSError:
        same = True  # the leader is gone; as long as its session has a member, nobody else gets that number
    return int(note["pid"]) if same else None
