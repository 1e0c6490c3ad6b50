"""Doors without a run: a loop that is turned by the test, and clients that are sockets of the same process."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from atex_sut_agent.sut.control import Door
from atex_sut_agent.sut.doors import Doors
from atex_sut_agent.sut.files import Files
from atex_sut_agent.sut.listener import Listener
from atex_sut_agent.sut.loop import Loop
from atex_sut_agent.sut.results import GrammarError

PATIENCE = 60.0  # seconds


class Crowd(Listener):
    """Both doors, and what came through them. `sync` promises a reply, which the test gives."""

    test = "/the/test"
    breaking_off = False
    full = False

    def __init__(self, folder: Path) -> None:
        self.results_seen: list[dict[str, Any]] = []
        self.files_seen: dict[tuple[str, str], bytearray] = {}
        self.words: list[tuple[str, str]] = []
        self.syncs: list[tuple[Door, str]] = []  # promised replies
        self.errors: list[str] = []
        self.broken_off: list[str] = []
        self.loop = Loop()
        self._files = Files()
        self._path = str(folder / "control")
        self.doors = Doors(self.loop, self, self._path)

    def client(self) -> socket.socket:
        """A new one, that does not block."""
        with contextlib.ExitStack() as undo:
            client = undo.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(self._path)
            client.setblocking(False)
            undo.pop_all()
        return client

    def until(self, condition: Callable[[], object]) -> None:
        """Turn the loop until this is true."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, (self.errors, self.words[-5:])
            self.loop.after(0.001, lambda: None)
            self.loop.turn()

    def settle(self) -> None:
        """Turn the loop until all that was sent is read, as far as it is read at all: sockets here have no delay."""
        for _ in range(3):
            self.loop.after(0, lambda: None)
            self.loop.turn()

    def send(self, streams: dict[socket.socket, bytes]) -> dict[socket.socket, bytes]:
        """Send these as far as they are read; return what is left of each."""
        left = dict(streams)
        stuck = 0
        while left and stuck < 10:
            before = sum(map(len, left.values()))
            for client, data in list(left.items()):
                with contextlib.suppress(BlockingIOError):
                    left[client] = data[client.send(data) :]
                if not left[client]:
                    del left[client]
            self.loop.after(0, lambda: None)
            self.loop.turn()
            stuck = stuck + 1 if sum(map(len, left.values())) == before else 0
        return left

    @property
    def held(self) -> int:
        """Bytes of what is unfinished, of all clients together."""
        return sum(door.held for door in self.doors._clients)

    def write(self, data: bytes) -> None:
        """Write this to the pipe, which is read meanwhile. Raises BrokenPipeError once its door is closed."""
        for start in range(
            0, len(data), 4096
        ):  # a pipe has room for that, whatever the user's quota is
            os.write(self.doors.pipe, data[start : start + 4096])
            self.settle()

    def read(self, client: socket.socket) -> bytes:
        """What came for this client up to its end of file."""
        received = bytearray()

        def ended() -> bool:
            with contextlib.suppress(BlockingIOError):
                data = client.recv(1 << 16)
                received.extend(data)
                return not data
            return False

        self.until(ended)
        return bytes(received)

    def reply(self) -> None:
        """Give all promised replies."""
        syncs, self.syncs = self.syncs, []
        for door, text in syncs:
            self.doors.reply(door, text)

    # As a run does ---------------------------------------------------------------------------------------

    def results(self, lines: bytes, count: int) -> None:
        values = [json.loads(line) for line in lines.splitlines()]
        assert len(values) == count
        self.results_seen += values

    def flush(self) -> None:
        pass

    def claim(self, door: Door, name: str, files: list[str]) -> bool:
        return self._files.claim(door, name, files)

    def file(self, door: Door, name: str, file: str, data: bytes) -> None:
        contents = self.files_seen.setdefault((name, file), bytearray())
        assert self._files.grow(door, file, len(data))[0] == len(contents)
        contents += data

    def commit(self, door: Door, line: bytes) -> None:
        self._files.commit(door)
        self.results(line, 1)
        self.doors.released()

    def cut_back(self, door: Door) -> None:
        for name, file, length in self._files.cut_back(door):
            if (name, file) in self.files_seen:
                del self.files_seen[name, file][length or 0 :]
        self.doors.released()

    def word(self, door: Door, word: str, argument: str) -> None:
        if word == "sync":
            if not door.can_reply:
                raise GrammarError("'sync' is for the socket")
            text = f"ok {argument}".rstrip()
            self.doors.promise(door, text)
            self.syncs.append((door, text))
        elif word != "noop":
            raise GrammarError(f"unknown word {word!r}")
        self.words.append((word, argument))

    def door_failed(self, reason: str) -> None:
        self.errors.append(reason)

    def cut_short(self, what: str) -> None:
        self.broken_off.append(what)


@contextlib.contextmanager
def crowd_in(folder: Path) -> Iterator[Crowd]:
    """A crowd whose doors are shut at the end."""
    crowd = Crowd(folder)
    try:
        yield crowd
    finally:
        crowd.doors.shut()
