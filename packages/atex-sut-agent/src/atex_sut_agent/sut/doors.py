"""The doors of the control file: a unix socket with any number of clients, and a pipe.

Here are the descriptors; what comes through them is read by `control.Door`.
"""

import fcntl
import os
import socket
import struct
import termios

from .control import Door
from .framing import MAX_CHUNK
from .loop import READ, Loop
from .results import GrammarError

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from .run import Run

_BACKLOG = 512
_MAX_CLIENTS = 512  # at once; more wait to be accepted
PIPE_SIZE = 1024 * 1024  # bytes, asked for; the kernel may give less
_F_SETPIPE_SZ = 1031  # has no name in Python 3.6


def new_pipe() -> "tuple[int, int]":
    """Return (read end, write end) of a pipe that is large and does not block its reader."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    try:
        fcntl.fcntl(writer, _F_SETPIPE_SZ, PIPE_SIZE)
    except OSError:
        pass  # beyond the user's quota of pipe memory: slower, not wrong
    return reader, writer


def bytes_waiting(fd: int) -> int:
    """Return how many bytes can be read from a pipe or socket now."""
    return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]


class Doors:
    """Both doors of one run, open from its start to its end.

    `run` is a control.Listener which is also told of `door_failed(reason)` (a client broke the grammar),
    `cut_short(what)` (a result that the agent itself cut short) and `flush()` (a piece has been read).
    """

    def __init__(self, loop: Loop, run: "Run", path: str) -> None:
        self._loop = loop
        self._run = run
        self._path = path
        self._doors: "dict[int, Door]" = {}  # fd: Door
        self._sockets: "dict[int, socket.socket]" = {}  # fd: the socket of a client
        self._paused = False
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _remove(path)
            self._listener.bind(path)
            self._listener.listen(_BACKLOG)
            self._listener.setblocking(False)
            reader, self.pipe = new_pipe()  # the write end, for the test
        except OSError:
            self._listener.close()
            raise
        self._doors[reader] = Door(run)
        self._watch_all()

    def close_pipe(self) -> None:
        """Close our copy of the pipe's write end, once the test has its own."""
        if self.pipe is not None:
            os.close(self.pipe)
            self.pipe = None

    def pause(self) -> None:
        """Read nothing more until `resume()`: the host is behind, so writers have to wait."""
        if not self._paused:
            self._paused = True
            self._loop.forget(self._listener.fileno())
            for fd in self._doors:
                self._loop.forget(fd)

    def resume(self) -> None:
        """Read on after `pause()`."""
        if self._paused:
            self._paused = False
            self._watch_all()

    def released(self) -> None:
        """Files have been released: feed the doors that wait for some."""
        for fd, door in list(self._doors.items()):
            if door.waiting and self._doors.get(fd) is door:
                self._feed(fd, door, b"")

    def drain(self) -> None:
        """Read what is in the doors at this moment, and no more: a daemon of the test may write for ever."""
        self._accept(READ)
        for fd, door in list(self._doors.items()):
            waiting = bytes_waiting(fd)
            while waiting > 0 and self._doors.get(fd) is door and not door.waiting:
                waiting -= self._read(fd, door)

    def close(self) -> None:
        """Close everything. What is unfinished is an error of its client, or was cut short by the agent."""
        for fd, door in list(self._doors.items()):
            if self._doors.get(fd) is not door:
                continue  # the end of another one released its files, and it failed
            if door.unfinished:
                self._end(fd, door)
            else:
                self._close(fd)
        self.close_pipe()
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        _remove(self._path)

    def _watch_all(self) -> None:
        self._watch_listener()
        for fd, door in self._doors.items():
            self._watch(fd, door)

    def _watch_listener(self) -> None:
        if not self._paused and len(self._sockets) < _MAX_CLIENTS:
            self._loop.watch(self._listener.fileno(), READ, self._accept)
        else:
            self._loop.forget(self._listener.fileno())

    def _watch(self, fd: int, door: Door) -> None:
        if not self._paused and not door.waiting:
            self._loop.watch(fd, READ, lambda mask: self._read(fd, door))
        else:
            self._loop.forget(fd)

    def _accept(self, mask: int) -> None:
        while len(self._sockets) < _MAX_CLIENTS:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setblocking(False)
            door = Door(self._run)
            self._sockets[client.fileno()] = client
            self._doors[client.fileno()] = door
            self._watch(client.fileno(), door)
        self._watch_listener()

    def _read(self, fd: int, door: Door) -> int:
        try:
            data = os.read(fd, MAX_CHUNK)
        except BlockingIOError:
            return MAX_CHUNK  # nothing is there
        except OSError:
            data = b""  # the client reset its connection
        if data:
            self._feed(fd, door, data)
        else:
            self._end(fd, door)
        return len(data) or MAX_CHUNK

    def _feed(self, fd: int, door: Door, data: bytes) -> None:
        was_waiting = door.waiting
        try:
            door.feed(data)
        except GrammarError as error:
            self._fail(fd, str(error))
        else:
            if door.waiting != was_waiting:
                self._watch(fd, door)
        self._run.flush()

    def _end(self, fd: int, door: Door) -> None:
        if door.unfinished and self._run.killing:
            self._run.cut_short(door.unfinished)
            door.drop()
            self._close(fd)
            return
        try:
            door.end()
        except GrammarError as error:
            self._fail(fd, str(error))
        else:
            self._close(fd)

    def _fail(self, fd: int, reason: str) -> None:
        client = self._sockets.get(fd)
        if client is not None:
            try:
                client.send("error {}\n".format(reason).encode("utf-8", "replace"))
            except OSError:
                pass  # it does not listen; the run's note says it anyway
        self._close(fd)
        self._run.door_failed(reason)

    def _close(self, fd: int) -> None:
        del self._doors[fd]
        self._loop.forget(fd)
        client = self._sockets.pop(fd, None)
        if client is None:
            os.close(fd)
            return
        client.close()
        if len(self._sockets) == _MAX_CLIENTS - 1:
            self._watch_listener()


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
