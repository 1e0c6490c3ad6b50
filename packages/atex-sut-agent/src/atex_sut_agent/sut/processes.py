"""Processes of this machine: who is in a session, whom to signal, who has ended.

A run's process leads a session of its own, and everything that it starts stays in that session unless it asks
for another one. Groups are no measure: `timeout` and job control make their own.
"""

import os
import signal

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def session_members(sid: int) -> "list[int]":
    """Return the living processes (pids, zombies left out) of session `sid`."""
    members = []
    for pid in _all():
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
    fields = _stat(pid)
    return fields[0].decode(), int(fields[19])


def starts_of(pids: "Iterable[int]") -> "dict[int, int]":
    """Return {pid: start} of those processes that are there: together they name a process, a pid is used again."""
    starts = {}
    for pid in pids:
        try:
            starts[pid] = state_and_start(pid)[1]
        except OSError:
            pass  # it ended meanwhile
    return starts


def any_lives(starts: "dict[int, int]") -> bool:
    """Is one of these processes, {pid: start}, alive?"""
    for pid, start in starts.items():
        try:
            state, found = state_and_start(pid)
        except OSError:
            continue  # it is gone
        if found == start and state not in "ZX":
            return True
    return False


def signal_session(leader: int, number: int) -> None:
    """Send signal `number` to every process of the session that `leader` leads, its own group first."""
    _send(os.killpg, leader, number)
    for pid in session_members(leader):
        if _group(pid) != leader:
            _send(os.kill, pid, number)


def kill_session(leader: int) -> "list[int]":
    """SIGKILL what lives of the session; return its pids. Call again until there is none."""
    members = session_members(leader)
    kill(members)
    return members


def kill(pids: "Iterable[int]") -> None:
    """SIGKILL processes."""
    for pid in pids:
        _send(os.kill, pid, signal.SIGKILL)


def end_leader(leader: int) -> None:
    """SIGKILL the session that our child `leader` leads, and reap that child."""
    signal_session(leader, signal.SIGKILL)
    os.waitpid(leader, 0)


def children() -> "list[int]":
    """Return the children of this process, the dead ones that nobody has reaped included."""
    me = os.getpid()
    try:
        with open("/proc/self/task/{}/children".format(me), "rb", buffering=0) as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        return [pid for pid in _all() if _parent(pid) == me]


def reap(pid: int) -> bool:
    """Reap our child `pid` if it is dead; return whether it is gone now."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


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


def _all() -> "list[int]":
    """Return the pids of all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> "list[bytes]":
    """Return the fields of /proc/PID/stat behind the name, from the state letter on. Raises OSError."""
    with open("/proc/{}/stat".format(pid), "rb", buffering=0) as stat:
        return stat.read().rpartition(b")")[2].split()


def _parent(pid: int) -> "int | None":
    try:
        return int(_stat(pid)[1])
    except OSError:
        return None  # it ended meanwhile


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
