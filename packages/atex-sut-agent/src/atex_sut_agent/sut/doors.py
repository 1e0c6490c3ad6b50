"""The doors of the control file: a unix socket with any number of clients, and a pipe.

Here are the descriptors; what comes through them is read by `control.Door`.
"""

import contextlib
import os
import socket

from .control import Door, Listener
from .framing import MAX_CHUNK
from .loop import READ, Loop
from .paths import clear
from .pipes import bytes_waiting, new_pipe
from .results import GrammarError

_BACKLOG = 512
_MAX_CLIENTS = 512  # at once; more wait to be accepted


class DoorsListener(Listener):
    """What Doors tell besides what each Door does. A run implements this."""

    @property
    def killing(self) -> bool:
        """Has the agent begun to send signals? What stays unfinished then is not the test's fault."""
        raise NotImplementedError

    def flush(self) -> None:
        """A piece has been read: nothing more comes at this moment."""
        raise NotImplementedError

    def door_failed(self, reason: str) -> None:
        """A client broke the grammar, and its door is closed."""
        raise NotImplementedError

    def cut_short(self, what: str) -> None:
        """A client was killed in the middle of `what`."""
        raise NotImplementedError


class Doors:
    """Both doors of one run, open from the construction until `shut()`. Raises OSError."""

    def __init__(self, loop: Loop, listener: DoorsListener, path: str) -> None:
        self._loop = loop
        self._listener = listener
        self._path = path
        self._doors: "dict[int, Door]" = {}  # by descriptor
        self._clients: "dict[int, socket.socket]" = {}  # the sockets among them
        self._paused = False
        self._released = False  # files have been, and others may wait for them
        with contextlib.ExitStack() as undo:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            undo.callback(self._socket.close)
            clear(path)
            self._socket.bind(path)
            self._socket.listen(_BACKLOG)
            self._socket.setblocking(False)
            reader, self.pipe = new_pipe()  # the write end is for the test
            undo.pop_all()
        self._doors[reader] = Door(listener)
        self._watch_all()

    def close_pipe(self) -> None:
        """Close our copy of the pipe's write end, once the test has its own."""
        if self.pipe >= 0:
            os.close(self.pipe)
            self.pipe = -1

    def pause(self) -> None:
        """Read nothing more until `resume()`: the host is behind, so writers have to wait."""
        self._paused = True
        self._loop.forget(self._socket.fileno())
        for fd in self._doors:
            self._loop.forget(fd)

    def resume(self) -> None:
        """Read on after `pause()`."""
        self._paused = False
        self._watch_all()

    def released(self) -> None:
        """Files have been released; doors that wait for some are fed as soon as the present one has been."""
        self._released = True

    def shut(self) -> None:
        """Read what is in the doors at this moment and no more, then close them.

        Never until end of file: a daemon of the test may hold them open, or write, for ever.
        """
        self._paused = False
        self._empty()
        expected = _BACKLOG + 1  # as many can be waiting to be accepted
        while expected > 0:
            accepted = self._accept(READ)
            if not accepted:
                break
            self._empty()
            expected -= accepted
        self.close_pipe()
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        with contextlib.suppress(OSError):  # the next run tries it again, and says so
            clear(self._path)

    def _watch_all(self) -> None:
        self._watch_socket()
        for fd, door in self._doors.items():
            self._watch(fd, door)

    def _watch_socket(self) -> None:
        if not self._paused and len(self._clients) < _MAX_CLIENTS:
            self._loop.watch(self._socket.fileno(), READ, self._accept)
        else:
            self._loop.forget(self._socket.fileno())

    def _watch(self, fd: int, door: Door) -> None:
        if not self._paused and not door.waiting:
            self._loop.watch(fd, READ, lambda mask: self._read(fd, door))
        else:
            self._loop.forget(fd)

    def _accept(self, mask: int) -> int:
        """Accept who waits, as far as there is room; return how many that were."""
        accepted = 0
        while len(self._clients) < _MAX_CLIENTS:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return accepted
            client.setblocking(False)
            fd = client.fileno()
            self._clients[fd] = client
            self._doors[fd] = Door(self._listener)
            self._watch(fd, self._doors[fd])
            accepted += 1
        self._watch_socket()
        return accepted

    def _empty(self) -> None:
        """Read all doors as far as they are filled at this moment, and close them."""
        left = {fd: bytes_waiting(fd) for fd in self._doors}
        while self._doors:
            readable = [fd for fd, door in self._doors.items() if left[fd] > 0 and not door.waiting]
            for fd in readable:
                if fd in self._doors:
                    left[fd] -= self._read(fd, self._doors[fd])
            if not readable:
                # What is unfinished gets no more. It ends, which gives its files to those that wait for them.
                stuck = [entry for entry in self._doors.items() if not entry[1].waiting]
                for fd, door in stuck or list(self._doors.items()):
                    self._end(fd, door)
                self._feed_waiting()

    def _read(self, fd: int, door: Door) -> int:
        """Read a piece; return how much of what waits there that was, all of it where nothing more comes."""
        try:
            data = os.read(fd, MAX_CHUNK)
        except BlockingIOError:
            return MAX_CHUNK
        except OSError:
            data = b""  # the client reset its connection
        if data:
            self._feed(fd, door, data)
        else:
            self._end(fd, door)
        self._feed_waiting()
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
        self._listener.flush()

    def _feed_waiting(self) -> None:
        # A loop, and not from within `released`: hundreds of clients may wait for one file, each for the one before.
        while self._released:
            self._released = False
            for fd, door in list(self._doors.items()):
                if door.waiting and self._doors.get(fd) is door:
                    self._feed(fd, door, b"")

    def _end(self, fd: int, door: Door) -> None:
        if door.unfinished and self._listener.killing:
            self._listener.cut_short(door.unfinished)
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
        client = self._clients.get(fd)
        if client is not None:
            try:
                client.send("error {}\n".format(reason).encode("utf-8", "replace"))
            except OSError:
                pass  # it does not listen; the run's note says it anyway
        self._close(fd)
        self._listener.door_failed(reason)

    def _close(self, fd: int) -> None:
        del self._doors[fd]
        self._loop.forget(fd)
        client = self._clients.pop(fd, None)
        if client is None:
            os.close(fd)
            return
        client.close()
        if len(self._clients) == _MAX_CLIENTS - 1:
            self._watch_socket()
