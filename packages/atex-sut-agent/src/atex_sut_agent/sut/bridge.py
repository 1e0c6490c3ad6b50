"""The bridge: the process that a login starts. It hands its stdin and stdout to the daemon and waits.

The first bridge of a session starts the daemon, whichever comes first (`handover.py`).
"""

import errno
import fcntl
import os
import socket
import time

from . import handover, last_words
from .bootstrap import make_private
from .daemon import run_daemon
from .settings import Settings

_PATIENCE = 5.0  # seconds for a daemon that is just starting, or just ending
_RETRY = 0.02  # seconds
_LOWEST_OURS = 10  # those below are a test's


def attach(session: str, folder: str, archive: str, settings: Settings) -> None:
    """Hand stdin and stdout to the daemon of `session`; return when it is done with them.

    It is started, with these settings, where there is none. `folder` is the session's own; `archive` is what this code
    runs from. Raises OSError.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        daemon = _connect(session, folder, archive, settings, deadline)
        if not handover.is_ours(daemon):
            raise OSError(errno.EPERM, "session {} belongs to another user".format(session))
        if handover.hand_over(daemon, 0, 1):
            break
        daemon.close()
        if time.monotonic() > deadline:
            said = last_words.read(folder) or "without a word"
            raise OSError(errno.EIO, "the session's daemon ends as soon as it starts: " + said)
        time.sleep(_RETRY)
    _point_at_null(0, 1, 2)
    daemon.settimeout(None)
    try:
        daemon.recv(1)  # end of file: detached, superseded, or over
    except OSError:
        pass  # the daemon was killed


def _connect(
    session: str, folder: str, archive: str, settings: Settings, deadline: float
) -> socket.socket:
    address = handover.address(session)
    while True:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            listener.listen(8)
            _start_daemon(session, folder, archive, settings, listener)
        finally:
            listener.close()
        bridge = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bridge.settimeout(_PATIENCE)
        try:
            bridge.connect(address)
            return bridge
        except OSError:  # it is bound and does not listen yet, or it has just ended
            bridge.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(_RETRY)


def _start_daemon(
    session: str, folder: str, archive: str, settings: Settings, listener: socket.socket
) -> None:
    make_private(os.path.dirname(folder))
    make_private(folder)
    child = os.fork()
    if child:
        if os.waitpid(child, 0)[1] != 0:
            raise OSError(errno.EAGAIN, "no process could be started for the agent")
        return
    code = 1
    try:
        os.setsid()
        if os.fork() == 0:
            run_daemon(session, folder, archive, settings, _leave_the_login(listener))
        code = 0
    finally:
        os._exit(code)


def _leave_the_login(listener: socket.socket) -> socket.socket:
    """Hold on to nothing but the listener, which is returned under another descriptor."""
    kept = fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD_CLOEXEC, _LOWEST_OURS)
    _point_at_null(0, 1, 2)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != kept:
            try:
                os.close(int(name))  # whoever called us may wait for its end
            except OSError:
                pass  # what listdir itself had opened
    os.chdir("/")
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=kept)


def _point_at_null(*fds: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for fd in fds:
        os.dup2(null, fd)
    if null > 2:
        os.close(null)
