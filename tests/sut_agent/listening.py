"""What a door tells of a stream, in a form in which the same stream in other pieces is the same."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
from atex_sut_agent.sut.control import Door
from atex_sut_agent.sut.listener import Listener
from atex_sut_agent.sut.results import GrammarError

Told = list[tuple[Any, ...]]
TEST = "/the/test"  # the name of the run


class Listening(Listener):
    """Takes everything down. The word `bad` is none; behind `sync` the door waits, as for a reply.

    Files are there for the asking, unless `is_free` says otherwise.
    """

    test = TEST

    def __init__(self, is_free: Callable[[], bool] = lambda: True) -> None:
        self.told: Told = []
        self.lines = b""  # of results, as they are
        self._is_free = is_free

    def results(self, lines: bytes, count: int) -> None:
        split = lines.split(b"\n")
        assert split.pop() == b""
        assert len(split) == count
        self.lines += lines
        self.told += [("result", _value(line)) for line in split]

    def claim(self, door: Door, name: str, files: list[str]) -> bool:
        if not self._is_free():
            return False
        self.told.append(("claim", name, files))
        return True

    def file(self, door: Door, name: str, file: str, data: bytes) -> None:
        if self.told[-1][:3] == ("file", name, file):
            data = self.told.pop()[3] + data
        self.told.append(("file", name, file, data))

    def commit(self, door: Door, line: bytes) -> None:
        self.results(line, 1)
        self.told.append(("commit",))

    def cut_back(self, door: Door) -> None:
        self.told.append(("cut back",))

    def word(self, door: Door, word: str, argument: str) -> None:
        if word == "bad":
            raise GrammarError("unknown word 'bad'")
        self.told.append(("word", word, argument))
        door.waiting = word == "sync"


def _value(line: bytes) -> Any:
    """Decode a result as the host does, which would hang up on a machine that sends what it can not read."""
    value = msgspec.json.decode(line)
    assert value == json.loads(line)
    return value


def told(*pieces: bytes, is_free: Callable[[], bool] = lambda: True) -> Told:
    """Return what is told of a stream in these pieces, and of its end; the last entry is the error, if there is one."""
    listener = Listening(is_free)
    door = Door(listener)
    try:
        for piece in pieces:
            door.feed(piece)
            while door.waiting:
                door.feed(b"")
        door.end()
    except GrammarError as error:
        listener.told.append(("error", str(error)))
    return listener.told
