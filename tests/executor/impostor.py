"""A machine that is not to be trusted: answers like an agent, and then says whatever its script tells it to.

Run as `impostor.py SESSION ATTACHMENT SCRIPT`; the names below are what SCRIPT, Python source, may use.
"""

import json
import os
import sys
from typing import Any

from atex_sut_agent.sut.bootstrap import BOOT_MAGIC
from atex_sut_agent.sut.framing import MAGIC, PROTOCOL, FrameReader, pack

_reader = FrameReader()
_received: list[tuple[int, dict[str, Any]]] = []


def raw(data: bytes) -> None:
    """Write bytes as they are."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def say(kind: str, number: int = 0, tail: bytes = b"", **fields: Any) -> None:
    """Write one frame."""
    raw(pack(number, {"kind": kind, **fields}, tail))


def boot() -> None:
    """Claim to have the archive."""
    raw(b"motd: welcome\n" + BOOT_MAGIC + b'{"need": false}\n' + b"more noise" + MAGIC)


def hello(**changes: Any) -> None:
    """Say hello as an agent does, but for `changes`."""
    fields: dict[str, Any] = {
        "protocol": PROTOCOL,
        "session": sys.argv[1],
        "incarnation": "first",
        "order": 0,
        "run": None,
        "frame": 1,
        "folder": "/nowhere",
        "archive": "/nowhere/agent.pyz",
        "python": "/usr/bin/python3",
        "python_version": "3.11.2",
        "pid": 1,
        "user": "root",
    }
    say("hello", **{**fields, **changes})


def heard(*kinds: str) -> dict[str, Any]:
    """Wait for the next message of these kinds and return it with its `number`; the connection's end is ours."""
    while True:
        for index, (number, message) in enumerate(_received):
            if message["kind"] in kinds:
                del _received[: index + 1]
                return {**message, "number": number}
        data = os.read(0, 65536)
        if not data:
            sys.exit()
        _received.extend((number, json.loads(head)) for number, head, _ in _reader.feed(data))


def started(**changes: Any) -> int:
    """Be an agent up to the order to start a run; return its id."""
    boot()
    hello(**changes)
    return int(heard("start")["number"])


def exited(number: int, run: int, **changes: Any) -> None:
    """The run is over, and passed but for `changes`."""
    fields = {"exit_code": 0, "signal": None, "ended_by": "itself", "seconds": 0.5, "limit": 300.0}
    say("exited", number, run=run, **{**fields, **changes})


def serve() -> None:
    """Say farewell when that is asked for."""
    heard("end")
    say("bye", reason="the host ended the session")


if __name__ == "__main__":
    attachment = int(sys.argv[2])
    exec(sys.argv[3])
