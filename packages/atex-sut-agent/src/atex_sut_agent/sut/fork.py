"""Processes of our own, which hold on to nothing of ours but what they are given."""

import errno
import os
import signal

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable

_OURS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)  # what a daemon has handlers for


def fork_child(call: "Callable[[], None]") -> int:
    """Return the pid of a child that makes this call, and exits with 0 if it returns. Raises OSError."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _OURS:
                signal.signal(number, signal.SIG_DFL)
            _let_go(())
            call()
            code = 0
        finally:
            os._exit(code)
    return child


def fork_away(call: "Callable[[], None]", *kept: int) -> None:
    """Make this call in a process that is nobody's child, in a session of its own; it keeps these descriptors.

    Raises OSError.
    """
    child = os.fork()
    if child:
        if os.waitpid(child, 0)[1] != 0:
            raise OSError(errno.EAGAIN, "no process could be started for the agent")
        return
    code = 1
    try:
        os.setsid()
        if os.fork() == 0:
            _let_go(kept)
            call()
        code = 0
    finally:
        os._exit(code)


def point_at_null(*fds: int) -> None:
    """Replace each of these descriptors by /dev/null."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in fds:
        os.dup2(null, fd)
    if null > 2:
        os.close(null)


def _let_go(kept: "tuple[int, ...]") -> None:
    point_at_null(0, 1, 2)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            try:
                os.close(int(name))  # whoever called us may wait for its end
            except OSError:
                pass  # what listdir itself had opened
    os.chdir("/")
