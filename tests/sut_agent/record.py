"""What a host knows of one run: its frames, put together, and each checked to land where it has to."""

from collections import defaultdict
from typing import Any

import msgspec
from atex_sut_agent.protocol import (
    AgentMessage,
    Dropped,
    Exited,
    Failed,
    FileChunk,
    Noted,
    Output,
    Results,
    Started,
)

_decode_lines = msgspec.json.Decoder(dict[str, Any]).decode_lines


class RunRecord:
    """What the host knows of one run."""

    def __init__(self) -> None:
        self.started: Started | None = None
        self.output = bytearray()
        self.files: dict[tuple[str, str], bytearray] = defaultdict(bytearray)  # by (result, file)
        self.results: list[dict[str, Any]] = []
        self.dropped: list[Dropped] = []
        self.notes: list[str] = []
        self.last: Exited | Failed | None = None

    @property
    def exited(self) -> Exited:
        """How it ended. Raises AssertionError where it has not, or was never started."""
        assert isinstance(self.last, Exited), self.last
        return self.last

    def apply(self, message: AgentMessage, tail: bytes) -> None:
        assert self.last is None, f"{message} behind {self.last}"
        match message:
            case Started():
                self.started = message
            case Output(offset=offset):
                assert offset == len(self.output)
                self.output += tail
            case FileChunk(name=name, file=file, offset=offset):
                assert offset == len(self.files[name, file])
                self.files[name, file] += tail
            case Results(first=first):
                assert first == len(self.results) + 1
                self.results += _decode_lines(tail)
            case Dropped(cuts=cuts):
                self.dropped.append(message)
                for cut in cuts:
                    del self.files[cut.name, cut.file][cut.length :]
            case Noted(note=note):
                self.notes.append(note)
            case Exited() | Failed():
                self.last = message
            case other:
                raise AssertionError(f"{other} is not of a run")
