"""What a machine may send to the host: anything. The host reads it, or calls the protocol broken, and nothing else.

The first byte of the input says how the rest is meant: even, as the very bytes of the stream; odd, as heads and tails
of well-formed frames, with SEPARATOR between them. Its other bits say how the stream is cut into pieces.
"""

import random
from collections.abc import Iterator

import msgspec
from atex_executor.ending import infra
from atex_executor.errors import ProtocolBroken
from atex_executor.journal import Attempt
from atex_executor.recorder import Recorder
from atex_executor.resume import open_attempts
from atex_sut_agent.protocol import MAX_HEAD, MAX_TAIL, FrameError, FrameReader, RunMessage
from atex_sut_agent.protocol import decode_agent_message as decode
from atex_sut_agent.sut.framing import pack

from tests.executor.memory_sink import MemorySink
from tests.fuzz.control_parser import TOKENS as CONTROL_TOKENS

SEPARATOR = b"\x1e"
FOLDER = "p/t/@1.1"
ATTEMPT = Attempt(
    folder=FOLDER,
    test="/t",
    platform="p",
    serial=1,
    attempt=1,
    machine="m",
    started="2026-11-20T15:04:05.123Z",
)

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
    b'{"kind":"file","run":1,"name":"a","file":"log","offset":3,"before":3}',
    b'{"kind":"results","run":1,"first":2,"before":[3]}',
    b'{"kind":"dropped","run":1,"cuts":[{"name":"a","file":"log","length":null}],"note":"n"}',
    b'{"kind":"test-added","run":1,"number":1,"test":"/t","environment":{"A":"b"}}',
    b'{"kind":"restarting","run":1,"clock":{"used":1.5,"limit":60,"saved":[[1,2]]}}',
]
TOKENS = [*_HEADS, *CONTROL_TOKENS, SEPARATOR, b'"before":', b'"partial":true', b"../", b"\x00"]


def seeds() -> list[bytes]:
    """Both kinds of input."""
    result = b'{"name":"a","status":"pass","files":[{"name":"log","length":3}]}\n'
    own = b'{"status":"fail","note":"x","testout":"out","k":{"l":[1]}}\n'
    partial = b'{"name":"a","partial":true,"k":[1]}\n{"name":"a","k":[2]}\n'
    stories = [
        [_HEADS[0], b"abc", _HEADS[1], b"def"],
        [
            _HEADS[3],
            own,
            _HEADS[2],
            b"abc",
            _HEADS[4],
            result,
            _HEADS[9],
            b"def",
            _HEADS[10],
            result,
        ],
        [_HEADS[2], b"abc", _HEADS[11], b"", _HEADS[3], own],
        [_HEADS[3], partial, _HEADS[6], b""],
        [_HEADS[7], b"", _HEADS[8], b"", _HEADS[12], b"", _HEADS[13], b""],
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
    """Return what became of it: the frames, what the sink has, and how it ended.

    In the middle the host is killed, and another one goes on, to which all comes again.
    """
    sink = MemorySink(FOLDER)
    recorder = Recorder(sink, ATTEMPT, tests={"/t"})
    reader = FrameReader()
    messages: list[tuple[RunMessage, bytes]] = []
    seen: list[tuple[object, ...]] = []
    try:
        for piece in pieces:
            for number, head, tail in reader.feed(piece):
                assert len(head) <= MAX_HEAD
                assert len(tail) <= MAX_TAIL
                message = decode(head)
                seen.append((number, head, tail))
                if isinstance(message, RunMessage):  # of others the link takes care
                    recorder.apply(message, tail)
                    messages.append((message, tail))
    except (FrameError, ProtocolBroken) as error:
        seen.append((str(error),))
    left = sink.content()
    (attempt,) = open_attempts(sink.journal_lines, sink.lines)
    resumed = Recorder(sink, attempt, tests={"/t"})
    try:
        for message, tail in messages:
            resumed.apply(message, tail)
        assert sink.content() == left
    except (
        ProtocolBroken
    ) as error:  # no agent says it; a process that knows more may have let it pass
        seen.append((str(error),))
    resumed.close(infra("x"), seconds=1.0)
    check_records(sink)
    return [*seen, sink.content()]


def check_records(sink: MemorySink) -> None:
    """One final record, the last; no key of the runner's is forged; every listed file is there, and listed once."""
    numbers = []
    files: list[str] = []
    for line in sink.lines:
        record = msgspec.json.decode(line)
        assert line.endswith(b"\n")
        assert b"\n" not in line[:-1]
        assert (record["test"], record["platform"], record["serial"]) == ("/t", "p", 1)
        assert record["attempt"] == 1
        assert ("final" in record) == (line is sink.lines[-1])
        if "final" not in record:
            numbers.append(record["n"])
            assert not {"machine", "started", "seconds", "exit_code"} & record.keys()
        files += record.get("files", ())
    assert len(set(numbers)) == len(numbers)
    assert len(set(files)) == len(files)
    assert set(files) <= sink.contents.keys()
