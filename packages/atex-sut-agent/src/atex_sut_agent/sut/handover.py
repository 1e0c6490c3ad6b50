"""How a bridge hands its stdin and stdout to the daemon of its session: both ends of it.

They meet at an abstract socket named by the session's random id: binding it is the lock that keeps a second daemon
from starting, and nothing stale is left when a daemon dies. The bridge sends its descriptors, the daemon says TAKEN,
and the connection stays until the daemon is done with them or the bridge is killed.
"""

import array
import os
import socket
import struct

_TAKEN = b"\1"
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (socket(7), SO_PEERCRED)


def address(session: str) -> str:
    """Return the address at which the daemon of `session` listens."""
    return "\0atex-" + session


def is_ours(peer: socket.socket) -> bool:
    """Does the process at the other end run as the same user?"""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(credentials)[1] == os.getuid())


def hand_over(daemon: socket.socket, stdin: int, stdout: int) -> bool:
    """Give both descriptors to the daemon; return whether it took them. It has not where it is just ending."""
    handed = array.array("i", [stdin, stdout])
    try:
        daemon.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handed)])
        return daemon.recv(1) == _TAKEN
    except OSError:
        return False


def take(bridge: socket.socket) -> "tuple[int, int] | None":
    """Return the (stdin, stdout) that a bridge hands over, or None where it does not."""
    fds = array.array("i")
    try:
        _, ancillary, _, _ = bridge.recvmsg(1, socket.CMSG_SPACE(2 * fds.itemsize))
    except OSError:
        return None
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    for fd in fds:
        os.set_inheritable(fd, False)
    try:
        bridge.send(_TAKEN)
        stdin, stdout = fds
    except (OSError, ValueError):  # it was killed meanwhile, or it sent something else
        for fd in fds:
            os.close(fd)
        return None
    return stdin, stdout
