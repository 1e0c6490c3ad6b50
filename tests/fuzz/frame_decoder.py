"""What a machine may send to the host: anything. The host reads it, or calls the protocol broken, and nothing else.

The first byte of the input says how the rest is meant: even, as the very bytes of the stream; odd, as heads and tails
of well-formed frames, with SEPARATOR between them. Its other bits say how the stream is cut into pieces.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from atex_executor.ending import infra
from atex_executor.errors import FileRefused, ProtocolBroken
from atex_executor.recorder import Recorder
from atex_executor.sink import Sink
from atex_fmf import Test
from atex_sut_agent.protocol import MAX_HEAD, MAX_TAIL, FrameError, FrameReader
from atex_sut_agent.protocol import decode_agent_message as decode
from atex_sut_agent.sut.framing import pack

from tests.fuzz.control_parser import TOKENS as CONTROL_TOKENS

SEPARATOR = b"\x1e"
FOLDER = "p/t/@1.1/"

_HEADS = [
    b'{"kind":"output","run":1,"offset":0}',
    b'{"kind":"output","run":1,"offset":3}',
    b'{"kind":"file","run":1,"name":"a","file":"log","offset":0}',
    b'{"kind":"results","run":1,"first":1}',
    b'{"kind":"results","run":1,"first":2,"before":[null]}',
    b'{"kind":"dropped","run":1,"cuts":[{"name":"a","file":"log","length":0}],"note":"n"}',
    b'{"kind":"noted","run":1,"note":"n"}',
    b'{"kind":"sync","run":1}',
    b'{"kind":"marked","run":1,"name":"m","value":""}',
]
TOKENS = [*_HEADS, *CONTROL_TOKENS, SEPARATOR, b'"before":', b'"partial":true', b"../", b"\x00"]


def seeds() -> list[bytes]:
    """Both kinds of input."""
    result = b'{"name":"a","status":"pass","files":[{"name":"log","length":3}]}\n'
    own = b'{"status":"fail","note":"x","testout":"out","k":{"l":[1]}}\n'
    partial = b'{"name":"a","partial":true,"k":[1]}\n{"name":"a","k":[2]}\n'
    stories = [
        [_HEADS[0], b"abc", _HEADS[1], b"def"],
        [_HEADS[2], b"abc", _HEADS[3], result],
        [_HEADS[2], b"abc", _HEADS[5], b"", _HEADS[3], own],
        [_HEADS[3], partial, _HEADS[6], b""],
        [_HEADS[7], b"", _HEADS[8], b""],
    ]
    frames = [pack(n + 1, head, b"tail" * n) for n, head in enumerate(_HEADS)]
    return [
        *(b"\x03" + SEPARATOR.join(story) for story in stories),
        b"\x02" + b"".join(frames),
        b"\x04" + pack(0, b'{"kind":"alive"}') + b"\xff" * 16,
    ]


def fuzz(data: bytes) -> None:
    """Raises AssertionError, and whatever the host should not raise."""
    if not data:
        return
    raw = b"".join(_frames(data[1:])) if data[0] % 2 else data[1:]
    chance = random.Random(data[0])
    pieces = []
    rest = raw
    while rest:
        size = chance.choice((1, 5, 16, 100, 4096))
        pieces.append(rest[:size])
        rest = rest[size:]
    assert _read(pieces) == _read([raw])


def _frames(data: bytes) -> Iterator[bytes]:
    parts = data.split(SEPARATOR)
    for number, head in enumerate(parts[::2]):
        tail = parts[2 * number + 1] if 2 * number + 1 < len(parts) else b""
        yield pack(number + 1, head, tail)


def _read(pieces: list[bytes]) -> list[tuple[object, ...]]:
    """Return what became of it: the frames, what the sink has, and how it ended."""
    sink = _MemorySink()
    test = Test(name="/t", test="true", serial=1)
    recorder = Recorder(sink, test, platform="p", machine="m", attempt=1)
    reader = FrameReader()
    seen: list[tuple[object, ...]] = []
    try:
        for piece in pieces:
            for number, head, tail in reader.feed(piece):
                assert len(head) <= MAX_HEAD
                assert len(tail) <= MAX_TAIL
                message = decode(head)
                seen.append((number, head, tail))
                recorder.apply(message, tail)
    except (FrameError, ProtocolBroken) as error:
        seen.append((str(error),))
    recorder.close(infra("x"), started="2026-11-20T15:04:05.123Z", seconds=1.0)
    sink.check()
    return [*seen, (sink.lines,), *sink.files.items()]


class _MemorySink(Sink):
    """A sink that believes nothing: what comes from a machine must never get here wrong."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.files: dict[str, bytes] = {}

    def records(self, lines: Sequence[Mapping[str, Any]]) -> None:
        self.lines += [msgspec.json.encode(line) for line in lines]

    def check(self) -> None:
        """One final record, the last; no key of the runner's is forged; every listed file is there."""
        last = 0
        for line in self.lines:
            record = msgspec.json.decode(line)
            assert b"\n" not in line
            assert (record["test"], record["platform"], record["serial"]) == ("/t", "p", 1)
            assert record["attempt"] == 1
            assert ("final" in record) == (line is self.lines[-1])
            if "final" not in record:
                assert record["n"] > last
                last = record["n"]
                assert not {"machine", "started", "seconds", "exit_code"} & record.keys()
            for path in record.get("files", ()):
                assert path in self.files

    def _checked(self, path: str) -> str:
        assert path.startswith(FOLDER)
        assert "\0" not in path
        assert not {"", ".", ".."} & set(path.split("/"))
        if any(path.startswith(f"{file}/") or file.startswith(f"{path}/") for file in self.files):
            raise FileRefused("it is a folder and a file")
        return path

    def write(self, path: str, offset: int, data: bytes) -> None:
        content = self.files.get(self._checked(path), b"")
        assert offset <= len(content)
        self.files[path] = content[:offset] + data + content[offset + len(data) :]

    def link(self, existing: str, path: str) -> None:
        if self._checked(path) in self.files:
            raise FileRefused("it exists")
        self.files[path] = self.files[existing]

    def length(self, path: str) -> int | None:
        content = self.files.get(path)
        return None if content is None else len(content)

    def cut(self, path: str, length: int) -> None:
        assert length <= len(self.files[path])
        self.files[path] = self.files[path][:length]

    def remove(self, path: str) -> None:
        del self.files[path]

    def close(self) -> None:
        pass
