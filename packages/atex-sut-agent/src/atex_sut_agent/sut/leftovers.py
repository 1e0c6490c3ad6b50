"""What dead sessions of our slot left in the work folder: processes of their tests, and their folders.

Who calls this has the slot. So the daemon of any other session there is dead, and none comes back meanwhile.
"""

import contextlib
import os
import time

from . import leader, machine, notes, processes
from .bootstrap import make_private
from .removal import remove_tree

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Iterator

_KILL_PATIENCE = 5.0  # seconds
_REMOVAL_PATIENCE = 2.0  # seconds for what is being written there to stop
_LONGEST_SLOT = 32  # bytes


def claim(folder: str, slot: str) -> None:
    """Note to which slot the session in `folder` belongs."""
    # Where the disk is full, the folder of a daemon that is killed stays.
    with contextlib.suppress(OSError):
        notes.write(_slot_path(folder), slot.encode())


def end_processes(sessions: str, slot: str, own: str) -> None:
    """Kill what the last runs of the slot's sessions left, that in folder `own` being one of them.

    What can not be killed in a few seconds lives on.
    """
    deadline = time.monotonic() + _KILL_PATIENCE
    for folder in {own, *_of_slot(sessions, slot)}:
        left, _ = leader.recall(folder)
        while left is not None and processes.kill_session(left) and time.monotonic() < deadline:
            time.sleep(0.005)


def retire_sessions(sessions: str, slot: str, kept: str) -> bool:
    """Move the folders of the slot's sessions, but for `kept`, among the retired. Return whether any are there."""
    for folder in _of_slot(sessions, slot):
        if folder != kept:
            with contextlib.suppress(OSError):
                retire(folder)
    return bool(os.listdir(_retired(sessions)))


def retire(folder: str) -> str:
    """Move a session's folder out of the way, to where it can be removed; return its new path.

    Raises OSError, also where something is mounted in it: that may be the machine's own disk.
    """
    mounted = machine.mounts_in(folder)
    if mounted:
        raise OSError("{} is mounted".format(mounted[0]))
    retired = _retired(os.path.dirname(folder))
    path = os.path.join(retired, "{}.{}".format(os.path.basename(folder), os.urandom(4).hex()))
    os.rename(folder, path)
    return path


def remove_retired(sessions: str) -> None:
    """Remove all retired folders, as far as that is possible. It takes long, and goes out of the way of all else."""
    retired = _retired(sessions)
    os.nice(10)
    for name in os.listdir(retired):
        with contextlib.suppress(OSError):
            remove(os.path.join(retired, name))


def remove(folder: str) -> None:
    """Remove a retired folder. This may take long. Raises OSError where something of it stays."""
    deadline = 0.0
    while os.path.isdir(folder):
        if machine.mounts_in(folder):
            raise OSError("something is mounted in {}".format(folder))
        with contextlib.suppress(OSError):  # a tree may just be arriving in it
            remove_tree(folder)
        deadline = deadline or time.monotonic() + _REMOVAL_PATIENCE
        if time.monotonic() > deadline:
            raise OSError("{} can not be removed".format(folder))
        time.sleep(0.01)


def _of_slot(sessions: str, slot: str) -> "Iterator[str]":
    for name in os.listdir(sessions):
        folder = os.path.join(sessions, name)
        if _slot_of(folder) == slot.encode():
            yield folder


def _slot_of(folder: str) -> bytes:
    try:
        return notes.read(_slot_path(folder), _LONGEST_SLOT)
    except OSError:
        return b""


def _retired(sessions: str) -> str:
    folder = os.path.join(os.path.dirname(sessions), "retired")
    make_private(folder)
    return folder


def _slot_path(folder: str) -> str:
    return os.path.join(folder, "slot")
