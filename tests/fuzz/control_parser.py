"""What a test may write to its control file: anything. The agent's parser and the host's never disagree.

The first byte of the input says how the rest is cut into pieces and when files are free, the rest is the stream.
"""

import json
import random
from typing import Any

import msgspec
from atex_sut_agent.sut.control import Door, Listener
from atex_sut_agent.sut.results import GrammarError

Told = list[tuple[Any, ...]]

TOKENS = [
    *(b"result ", b"duration ", b"restart\n", b"disconnect\n", b"exitcode ", b"abort ", b"mark "),
    *(b"addtest ", b"noop\n", b"sync ", b"refresh", b"save", b"restore"),
    *(b'"name":', b'"status":', b'"note":', b'"files":', b'"testout":', b'"partial":true'),
    *(b'{"name":"f","length":1}', b"null", b"1e999", b"18446744073709551616", b"\\ud800", b"[["),
]


def seeds() -> list[bytes]:
    """Streams that go through all of the grammar, and some that break it."""
    plain = b'result {"name": "a", "status": "pass"}\n'
    filed = b'{"name": "a", "files": [{"name": "log", "length": 3}, {"name": "d/x", "length": 0}]}'
    sized = b"result %d\n%sabc" % (len(filed), filed)
    streams = [
        plain * 3,
        sized + plain + sized,
        b"noop\nduration 15m\nduration +60\nduration refresh\nduration save\nduration restore\n",
        b"restart 60\ndisconnect\nexitcode 3\nabort it is over\nsync a\nsync\n",
        b"mark set up=1\naddtest /other A=1 'B=x y'\n",
        b'result {"status": "warn", "note": null, "partial": true, "own": [1, {"k": 0.5}]}\n' * 2,
        b'result {"name": "t", "testout": "out.txt"}\n',
        b'result {"name": "\\u0000\\ud83d\\ude00", "x": "\\ud83d"}\n',
        b"result 1048577\n",
        b"result {" + b"[" * 70 + b"\n",
        b'result {"files": [{"name": "../x", "length": 1}]}\nz',
        sized[:-1],
    ]
    return [bytes([number]) + stream for number, stream in enumerate(streams)]


def fuzz(data: bytes) -> None:
    """Raises AssertionError, and whatever the parser should not raise."""
    if not data:
        return
    stream = data[1:]
    chance = random.Random(data[0])
    pieces = []
    while stream:
        size = chance.choice((1, 2, 7, 64, 1024))
        pieces.append(stream[:size])
        stream = stream[size:]
    whole = _told([data[1:]], random.Random(0))
    assert _told(pieces, chance) == whole


def _told(pieces: list[bytes], chance: random.Random) -> Told:
    listener = _Listener(chance)
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


class _Listener(Listener):
    """What a door told, in a form in which pieces of any size are the same."""

    test = "/t"

    def __init__(self, chance: random.Random) -> None:
        self.told: Told = []
        self._chance = chance

    def results(self, lines: bytes, count: int) -> None:
        split = lines.split(b"\n")
        assert split.pop() == b""
        assert len(split) == count
        for line in split:
            value = json.loads(line)
            # The host: what it can not read would be a broken protocol, and the machine's end.
            host = msgspec.json.decode(line)
            assert isinstance(host, dict)
            assert host.keys() == value.keys()
            self.told.append(("result", value))

    def claim(self, door: Door, name: str, files: list[str]) -> bool:
        if self._chance.random() < 0.3:
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
        self.told.append(("word", word, argument))
