"""What a test may write to its control file: anything. The agent's parser and the host's never disagree.

The first byte of the input says how the rest is cut into pieces and when files are free, the rest is the stream.
"""

import random

from tests.sut_agent.listening import told

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
        b'result 72\n"' + b"[" * 70 + b'"',
        b'result {"files": [{"name": "../x", "length": 1}]}\nz',
        sized[:-1],
    ]
    return [bytes([number]) + stream for number, stream in enumerate(streams)]


def fuzz(data: bytes) -> None:
    """Raises AssertionError, and whatever the parser should not raise."""
    if not data:
        return
    chance = random.Random(data[0])
    pieces = []
    rest = data[1:]
    while rest:
        size = chance.choice((1, 2, 7, 64, 1024))
        pieces.append(rest[:size])
        rest = rest[size:]
    assert told(*pieces, is_free=lambda: chance.random() < 0.7) == told(data[1:])
