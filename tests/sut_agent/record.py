"""What a host knows of one run: its frames, put together, and each checked to land where it has to."""

from collections import defaultdict
from typing import Any

import msgspec
from atex_sut_agent.protocol import (
    MAX_CHUNK,
    MAX_TAIL,
    Cut,
    Dropped,
    Exited,
    Failed,
    FileChunk,
    Marked,
    Noted,
    Output,
    Restarting,
    Results,
    RunMessage,
    Started,
    Sync,
    TestAdded,
)
from atex_sut_agent.sut.names import subtest_name

TEST = "/the/test"  # the name that runs have

_decode_lines = msgspec.json.Decoder(dict[str, Any]).decode_lines


class RunRecord:
    """What the host knows of one run."""

    def __init__(self) -> None:
        self.started: Started | None = None
        self.output = bytearray()
        self.files: dict[tuple[str, str], bytearray] = defaultdict(bytearray)  # by (result, file)
        self.listed: dict[tuple[str, str], int] = {}  # lengths of the files of complete results
        self.results: list[dict[str, Any]] = []
        self.dropped: list[Dropped] = []
        self.notes: list[str] = []
        self.said: list[Restarting | Marked | TestAdded | Sync] = []
        self.last: Exited | Failed | None = None

    @property
    def exited(self) -> Exited:
        """How it ended. Raises AssertionError where it has not, or was never started."""
        assert isinstance(self.last, Exited), self.last
        return self.last

    def apply(self, message: RunMessage, tail: bytes) -> None:
        assert self.last is None, f"{message} behind {self.last}"
        assert len(tail) <= (MAX_TAIL if isinstance(message, Results) else MAX_CHUNK)
        match message:
            case Started():
                self.started = message
            case Output(offset=offset):
                assert offset == len(self.output)
                self.output += tail
            case FileChunk(name=name, file=file, offset=offset, before=before):
                assert offset == len(self.files[name, file])
                assert before == self.listed.get((name, file))
                self.files[name, file] += tail
            case Results(first=first, before=before):
                assert first == len(self.results) + 1
                results = _decode_lines(tail)
                self.results += results
                self._list_files(results, before)
            case Dropped(cuts=cuts):
                self.dropped.append(message)
                self._cut_back(cuts)
            case Noted(note=note):
                self.notes.append(note)
            case Restarting() | Marked() | TestAdded() | Sync():
                self.said.append(message)
            case Exited() | Failed():
                self.last = message
            case other:
                raise AssertionError(f"{other} is not of a run")

    def _cut_back(self, cuts: tuple[Cut, ...]) -> None:
        for cut in cuts:
            key = cut.name, cut.file
            assert cut.length == self.listed.get(key)
            del self.files[key][cut.length or 0 :]
            if cut.length is None:
                del self.files[key]

    def _list_files(self, results: list[dict[str, Any]], before: tuple[int | None, ...]) -> None:
        """Check what a result with files says of them: it is alone in its frame."""
        files = [entry["name"] for value in results for entry in value.get("files") or ()]
        if files:
            assert len(results) == 1
        name = subtest_name(results[0].get("name"), TEST)
        keys = list(dict.fromkeys((name, file) for file in files))
        assert [self.listed.get(key) for key in keys] == list(before)
        self.listed.update((key, len(self.files[key])) for key in keys)
