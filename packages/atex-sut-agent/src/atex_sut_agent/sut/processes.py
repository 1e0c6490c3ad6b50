"""Processes of this machine: who is in a session, whom to signal, who has ended.

A run's process leads a session of its own, and everything that it starts stays in that session unless it asks
for another one. Groups are no measure: `timeout` and job control make their own.
"""

import os
import signal

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable


def session_members(sid: int) -> "list[int]":
    """Return the living processes (pids, zombies left out) of session `sid`."""
    members = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            pid = int(name)
            try:
                if os.getsid(pid) == sid and state_and_start(pid)[0] not in "ZX":
                    members.append(pid)
            except OSError:
                pass  # it ended meanwhile
    return members


def state_and_start(pid: int) -> "tuple[str, int]":
    """Return the state letter of a process and its start in clock ticks after boot (proc(5), stat).

    Raises OSError where there is no such process.
    """
    with open("/proc/{}/stat".format(pid), "rb", buffering=0) as stat:
        fields = stat.read().rpartition(b")")[2].split()
    return fields[0].decode(), int(fields[19])


def signal_session(leader: int, number: int) -> None:
    """Send signal `number` to every process of the session that `leader` leads, its own group first."""
    _send(os.killpg, leader, number)
    for pid in session_members(leader):
        if _group(pid) != leader:
            _send(os.kill, pid, number)


def kill_session(leader: int) -> int:
    """SIGKILL what lives of the session; return how many there were. Call again until that is 0."""
    members = session_members(leader)
    for pid in members:
        _send(os.kill, pid, signal.SIGKILL)
    return len(members)


def end_leader(leader: int) -> None:
    """SIGKILL the session that our child `leader` leads, and reap that child."""
    signal_session(leader, signal.SIGKILL)
    os.waitpid(leader, 0)


def has_living_children() -> bool:
    """Does this process have a child that is not dead already?

    For a child subreaper whose run has ended this answers, in one system call, whether anything of it is left.
    Waiting for stopped children only passes over zombies: with nobody else it fails with ECHILD.
    """
    try:
        os.waitid(os.P_ALL, 0, os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def ended_child(pid: "int | None" = None) -> "tuple[int, int | None, int | None] | None":
    """Return (pid, exit code or None, signal or None) of a child (this one, or any) that has ended and is not reaped.

    None: there is none.

    It looks only (WNOWAIT): the caller reaps exactly this pid. A waitpid(-1) would take the exit status away from
    whoever waits for that child.
    """
    try:
        which = (os.P_ALL, 0) if pid is None else (os.P_PID, pid)
        found = os.waitid(*which, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    if found is None:
        return None
    if found.si_code == os.CLD_EXITED:
        return found.si_pid, found.si_status, None
    return found.si_pid, None, found.si_status


def _group(pid: int) -> "int | None":
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def _send(function: "Callable[[int, int], None]", pid: int, number: int) -> None:
    try:
        function(pid, number)
    except OSError:
        pass  # it has ended; or it runs as somebody whom we may not signal, then the caller sees it survive
