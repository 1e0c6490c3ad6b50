"""The bridge: the process that a login starts. It hands its stdin and stdout to the daemon and waits.

The first bridge of a session starts the daemon. Both meet at an abstract socket named by the session's random id:
binding it is the lock that keeps a second daemon from starting, and nothing stale is left when a daemon dies.
"""

import array
import errno
import os
import socket
import struct
import sys
import time

from .daemon import run_daemon

_PATIENCE = 5.0  # seconds for a daemon that is just starting, or just ending


def attach(session: str, folder: str, archive: str) -> None:
    """Hand stdin and stdout to the daemon of `session`, started where there is none; return when it is done with them.

    `folder` is the session's own; `archive` is what this code runs from. Raises OSError.
    """
    daemon = _connect(session, folder, archive)
    credentials = daemon.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    if struct.unpack("3i", credentials)[1] != os.getuid():
        raise OSError(
            errno.EPERM, "the socket of session {} belongs to another user".format(session)
        )
    handed = array.array("i", [0, 1])
    daemon.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handed)])
    _point_at_null(0, 1, 2)
    daemon.recv(1)  # end of file: detached, superseded, or over


def _connect(session: str, folder: str, archive: str) -> socket.socket:
    address = "\0atex-" + session
    deadline = time.monotonic() + _PATIENCE
    while True:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            listener.listen(8)
            _start_daemon(session, folder, archive, listener)
        finally:
            listener.close()
        bridge = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            bridge.connect(address)
            return bridge
        except OSError:
            bridge.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _start_daemon(session: str, folder: str, archive: str, listener: socket.socket) -> None:
    _make_private(os.path.dirname(folder))
    _make_private(folder)
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            _point_at_null(0, 1, 2)
            os.chdir("/")
            os.umask(0o077)
            run_daemon(session, folder, archive, listener)
    finally:
        os._exit(0)


def _make_private(folder: str) -> None:
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        status = os.lstat(folder)
        if status.st_uid != os.getuid() or status.st_mode & 0o170077 != 0o040000:
            raise OSError(errno.EPERM, "{} is not a private folder of this user".format(folder))


def _point_at_null(*fds: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for fd in fds:
        os.dup2(null, fd)
    if null > 2:
        os.close(null)


def complain(message: object) -> None:
    """Say on stderr why the agent can not be had."""
    sys.stderr.write("atex agent: {}\n".format(message))
