"""The doors of the control file: a unix socket with any number of clients, and a pipe.

Here it is decided who is read when; what comes is understood by `control.Door`, replies wait in `client.Client`.
"""

import contextlib
import os
import resource
import socket

from .client import Client
from .control import Door
from .framing import MAX_CHUNK
from .listener import Listener
from .loop import READ, WRITE, Loop
from .paths import clear
from .pipes import bytes_waiting, new_pipe
from .results import GrammarError
from .shares import Shares

_BACKLOG = 512
_MAX_CLIENTS = 512  # at once; more wait to be accepted
_OTHER_DESCRIPTORS = 48  # that the agent may need for other things
_RETRY = 0.5  # seconds


class Doors:
    """Both doors of one run, open from the construction until `shut()`. Raises OSError."""

    def __init__(self, loop: Loop, listener: Listener, path: str) -> None:
        self._loop = loop
        self._listener = listener
        self._path = path
        self._clients: "dict[Door, Client]" = {}  # the reader of the pipe is one of them
        self._waiting: "dict[Client, None]" = {}  # those whose door waits, who came first goes first
        self._shares = Shares()
        self._places = _places()
        self._paused = False
        self._open = True
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
        self._add(Client(listener, reader, None))
        self._watch_socket()

    def close_pipe(self) -> None:
        """Close our copy of the pipe's write end, once the test has its own."""
        if self.pipe >= 0:
            os.close(self.pipe)
            self.pipe = -1

    def pause(self) -> None:
        """Read nothing more until `resume()`: the host is behind, so writers have to wait."""
        self._paused = self._open
        self._watch_all()

    def resume(self) -> None:
        """Read on after `pause()`."""
        self._paused = False
        self._watch_all()

    def released(self) -> None:
        """Files have been released; doors that wait for some are fed as soon as the present one has been."""
        self._released = True

    def promise(self, door: Door, text: str) -> None:
        """Say that `reply(door, text)` will follow: the client stays until it has it, as long as the doors are open."""
        if self._open:
            self._clients[door].promise(text)

    def reply(self, door: Door, text: str) -> None:
        """Send a promised reply, one line. Nothing happens where the client is gone. Never blocks."""
        client = self._clients.get(door)
        if client is None or not client.awaits_reply:
            return
        was_last = client.keep(text)
        if client.neglects_replies:
            self._fail(client, "replies are not read")
        else:
            self._watch(client)  # sent when the loop turns, many together
            if was_last and door.waiting:
                self._feed(client, b"")
                self._feed_waiting()

    def shut(self) -> None:
        """Read what is in the doors at this moment and no more, then close them. A second time it does nothing.

        Who writes gets EPIPE then, who reads end of file. Their own end of file is not waited for: a daemon of the test
        may hold the doors open, or write, for ever.
        """
        if not self._open:
            return
        self._open = self._paused = False
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

    # Who is read -----------------------------------------------------------------------------------------

    def _watch_all(self) -> None:
        if self._open:
            self._watch_socket()
            for client in self._clients.values():
                self._watch(client)

    def _watch_socket(self) -> None:
        if self._open and not self._paused and len(self._clients) <= self._places:
            self._loop.watch(self._socket.fileno(), READ, self._accept)
        else:
            self._loop.forget(self._socket.fileno())

    def _watch(self, client: Client) -> None:
        if client.door.waiting:
            self._waiting[client] = None
        else:
            self._waiting.pop(client, None)
        events = WRITE if client.has_replies else 0
        if self._may_read(client):
            events |= READ
        # Who ended and waits for a reply may still go away: poll tells it unasked.
        if events or client.ended:
            self._loop.watch(client.fd, events, lambda mask: self._ready(client, mask))
        else:
            self._loop.forget(client.fd)

    def _may_read(self, client: Client) -> bool:
        return not (self._paused or client.ended or self._waits(client))

    def _waits(self, client: Client) -> bool:
        return client.door.waiting or self._shares.is_hungry(client)

    def _accept(self, mask: int) -> int:
        """Accept who waits, as far as there is room; return how many that were."""
        accepted = 0
        while len(self._clients) <= self._places:
            try:
                connection, _ = self._socket.accept()
            except BlockingIOError:
                return accepted
            except OSError:  # no descriptor or no memory is left, for the moment
                self._loop.forget(self._socket.fileno())
                self._loop.after(_RETRY, self._watch_socket)
                return accepted
            connection.setblocking(False)
            self._add(Client(self._listener, connection.fileno(), connection))
            accepted += 1
        self._watch_socket()
        return accepted

    def _add(self, client: Client) -> None:
        self._clients[client.door] = client
        self._count(client)
        self._watch(client)

    def _ready(self, client: Client, mask: int) -> None:
        if client.has_replies:
            client.send()
            self._watch(client)
        if client.ended:
            if mask & ~WRITE or not client.expects_replies:
                self._close(client)
        elif mask & ~WRITE and self._may_read(client) and not self._listener.full:
            self._read(client)

    # What comes ------------------------------------------------------------------------------------------

    def _read(self, client: Client) -> int:
        """Read a piece; return how much of what waits there that was, all of it where nothing more comes."""
        size = self._shares.portion(client)
        if not size:
            self._watch(client)
            return 0
        try:
            data = os.read(client.fd, size)
        except BlockingIOError:
            return MAX_CHUNK
        except OSError:
            data = b""  # the client reset its connection
        if data:
            self._feed(client, data)
        else:
            self._end(client)
        self._feed_waiting()
        return len(data) or MAX_CHUNK

    def _feed(self, client: Client, data: bytes) -> None:
        was_waiting = client.door.waiting
        try:
            client.door.feed(data)
        except GrammarError as error:
            self._fail(client, str(error))
        else:
            if client.door.waiting != was_waiting:
                self._watch(client)
        if client.door in self._clients:
            self._count(client)
        self._listener.flush()

    def _count(self, client: Client) -> None:
        for fed in self._shares.count(client):
            self._watch(fed)

    def _feed_waiting(self) -> None:
        # A loop, and not from within `released`: hundreds of clients may wait for one file, each for the one before.
        while self._released:
            self._released = False
            for client in list(self._waiting):
                if client in self._waiting:
                    self._feed(client, b"")

    def _empty(self) -> None:
        """Read all doors as far as they are filled at this moment, and close them."""
        for client in list(self._waiting):
            client.forget_promises()
            self._feed(client, b"")
        left = {client: bytes_waiting(client.fd) for client in self._clients.values()}
        while self._clients:
            clients = list(self._clients.values())
            readable = [client for client in clients if left[client] > 0 and self._may_read(client)]
            for client in readable:
                if client.door in self._clients:
                    left[client] -= self._read(client)
            if not readable:
                # What is unfinished gets no more. It ends, which gives its files and its room to those that wait.
                for client in [one for one in clients if not self._waits(one)] or clients:
                    self._end(client)
                self._feed_waiting()

    # The end of a client ---------------------------------------------------------------------------------

    def _end(self, client: Client) -> None:
        """Nothing more comes from it, be it that it said so or that the doors are being shut."""
        unfinished = client.door.unfinished
        if unfinished and self._listener.breaking_off:
            self._listener.cut_short(unfinished)
            client.door.drop()
        try:
            client.door.end()
        except GrammarError as error:
            self._fail(client, str(error))
        else:
            client.ended = True
            self._close_if_done(client)

    def _fail(self, client: Client, reason: str) -> None:
        self._listener.door_failed(reason)
        client.door.drop()
        client.forget_promises()
        client.stop_reading()
        if client.door.can_reply:
            client.say("error " + reason)
            client.send()
        self._close_if_done(client)

    def _close_if_done(self, client: Client) -> None:
        """Close it, unless it expects replies and the doors stay open: then as soon as it has them."""
        if self._open and client.expects_replies:
            self._count(client)
            self._watch(client)
        else:
            client.send()
            client.stop_reading()
            self._close(client)

    def _close(self, client: Client) -> None:
        del self._clients[client.door]
        self._waiting.pop(client, None)
        for fed in self._shares.remove(client):
            self._watch(fed)
        self._loop.forget(client.fd)
        client.close()
        if len(self._clients) == self._places:
            self._watch_socket()


def _places() -> int:
    """Return how many clients there can be at once."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return _MAX_CLIENTS
    return max(1, min(_MAX_CLIENTS, limit - _OTHER_DESCRIPTORS))
