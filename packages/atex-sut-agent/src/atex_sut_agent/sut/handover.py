"""What a bridge asks of a daemon: both ends of it.

They meet at an abstract socket named by the session's random id: binding it is the lock that keeps a second daemon
from starting, and nothing stale is left when a daemon dies. A bridge of the session sends its stdin and stdout, and
the connection stays until the daemon is done with them or the bridge is killed. A bridge of another session may ask
the daemon to make way. To either the daemon says TAKEN.
"""

import array
import os
import socket
import struct

_ATTACH = b"attach"
_MAKE_WAY = b"make way in slot "
_LONGEST = 64  # bytes of either
_TAKEN = b"\1"
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (socket(7), SO_PEERCRED)
_PATIENCE = 5.0  # seconds for a daemon to answer


def address(session: str) -> str:
    """Return the address at which the daemon of `session` listens."""
    return "\0atex-" + session


def user_of(peer: socket.socket) -> int:
    """Return the uid of the process at the other end."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(credentials)[1])


def is_ours(peer: socket.socket) -> bool:
    """Does the process at the other end run as the same user?"""
    return user_of(peer) == os.getuid()


# The bridge's end ------------------------------------------------------------------------------------------


def connect(session: str) -> socket.socket:
    """Return a connection to the daemon of `session`. Raises OSError where there is none."""
    daemon = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        daemon.settimeout(_PATIENCE)
        daemon.connect(address(session))
    except OSError:
        daemon.close()
        raise
    return daemon


def hand_over(daemon: socket.socket, stdin: int, stdout: int) -> bool:
    """Give both descriptors to the daemon; return whether it took them. It has not where it is just ending."""
    handed = array.array("i", [stdin, stdout])
    try:
        daemon.sendmsg([_ATTACH], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handed)])
        return daemon.recv(1) == _TAKEN
    except OSError:
        return False


def ask_to_make_way(session: str, slot: str) -> bool:
    """Tell the daemon of `session` to end, as on timeout, if it has this slot; return whether it will."""
    try:
        with connect(session) as daemon:
            daemon.sendall(_MAKE_WAY + slot.encode())
            return daemon.recv(1) == _TAKEN
    except OSError:
        return False


# The daemon's end ------------------------------------------------------------------------------------------


def take(bridge: socket.socket, slot: str) -> "tuple[int, int] | tuple[()] | None":
    """Return the (stdin, stdout) that a bridge hands over, () where it asks to make way in `slot`, None for neither.

    Only our own user may hand over, only that one and root may ask.
    """
    fds = array.array("i")
    try:
        said, ancillary, _, _ = bridge.recvmsg(_LONGEST, socket.CMSG_SPACE(2 * fds.itemsize))
        user = user_of(bridge)
    except OSError:
        return None
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    for fd in fds:
        os.set_inheritable(fd, False)
    taken = said == _ATTACH and len(fds) == 2 and user == os.getuid()
    asked = said == _MAKE_WAY + slot.encode() and not fds and user in (0, os.getuid())
    try:
        if taken or asked:
            bridge.send(_TAKEN)
            return (fds[0], fds[1]) if taken else ()
    except OSError:
        pass  # it was killed meanwhile
    for fd in fds:
        os.close(fd)
    return None
