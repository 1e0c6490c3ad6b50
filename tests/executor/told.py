"""Messages of a run as an agent would tell them, and beside them what they should leave on disk."""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from atex_executor import FolderSink
from atex_executor.ending import Ending
from atex_executor.journal import Attempt
from atex_executor.layout import result_file
from atex_executor.recorder import Recorder
from atex_fmf import Test
from atex_sut_agent.protocol import (
    Cut,
    Dropped,
    FileChunk,
    Marked,
    Output,
    Results,
    RunMessage,
    TestAdded,
)
from atex_sut_agent.sut.names import subtest_name

PASSED = Ending(exit_code=0)


def attempt_at(test: str = "/t", number: int = 1) -> Attempt:
    """An attempt that begins."""
    return Attempt.of(
        Test(name=test, test="true", serial=1),
        platform="p",
        machine="m",
        attempt=number,
        started="2026-11-20T15:04:05.123Z",
    )


class Teller:
    """Says what an agent says, message by message, whatever its test does."""

    def __init__(
        self, folder: str, tell: Callable[[RunMessage, bytes], None], test: str = "/t"
    ) -> None:
        self.folder = folder
        self.test = test
        self.tell = tell
        self.output = b""
        self.files: dict[str, bytes] = {}  # path below files/: content
        self._lengths: dict[tuple[str, str], int] = {}
        self._results = 0
        self._added = 0

    def prints(self, data: bytes) -> None:
        """The test writes to its stdout."""
        self.tell(Output(run=1, offset=len(self.output)), data)
        self.output += data

    def sends(self, *results: dict[str, Any]) -> None:
        """The test sends results without files, or whose files were sent already."""
        lines = b"".join(json.dumps(result).encode() + b"\n" for result in results)
        self.tell(Results(run=1, first=self._results + 1), lines)
        self._results += len(results)

    def sends_files(self, result: dict[str, Any], files: list[tuple[str, bytes]]) -> None:
        """The test sends a result with these files."""
        name = subtest_name(result.get("name"), self.test)
        before = self._send_chunks(name, files)
        line = {**result, "files": [{"name": file, "length": len(data)} for file, data in files]}
        message = Results(run=1, first=self._results + 1, before=tuple(before.values()))
        self.tell(message, json.dumps(line).encode())
        self._results += 1

    def begins(self, name: str, files: list[tuple[str, bytes]]) -> None:
        """The test sends these files of a result, and its machine goes down."""
        kept = dict(self.files)
        before = self._send_chunks(name, files)
        self._forget(name, before, kept)

    def drops(self, name: str, files: list[tuple[str, bytes]]) -> None:
        """The test breaks off in the middle of a result with these files."""
        kept = dict(self.files)
        before = self._send_chunks(name, files)
        cuts = tuple(Cut(name=name, file=file, length=length) for file, length in before.items())
        self.tell(Dropped(run=1, cuts=cuts, note="unfinished"), b"")
        self._forget(name, before, kept)

    def marks(self, name: str, value: str = "") -> None:
        """The test leaves a mark."""
        self.tell(Marked(run=1, name=name, value=value), b"")

    def adds(self, test: str, environment: dict[str, str]) -> None:
        """The test asks for a run of another."""
        self._added += 1
        added = TestAdded(run=1, number=self._added, test=test, environment=environment)
        self.tell(added, b"")

    def _send_chunks(self, name: str, files: list[tuple[str, bytes]]) -> dict[str, int | None]:
        before = {file: self._lengths.get((name, file)) for file, _ in files}
        for file, data in files:
            path = result_file(self.folder, name, file)
            for piece in _pieces(data):
                offset = self._lengths.get((name, file), 0)
                chunk = FileChunk(run=1, name=name, file=file, offset=offset, before=before[file])
                self.tell(chunk, piece)
                self._lengths[name, file] = offset + len(piece)
                self.files[path] = self.files.get(path, b"") + piece
        return before

    def _forget(self, name: str, before: dict[str, int | None], files: dict[str, bytes]) -> None:
        self.files = files
        for file, length in before.items():
            if length is None:
                self._lengths.pop((name, file), None)
            else:
                self._lengths[name, file] = length


class Told(Teller):
    """One attempt at a test, told message by message to a Recorder that writes into `sink`."""

    def __init__(self, sink: FolderSink, *, attempt: int = 1, test: str = "/t") -> None:
        self.begun = attempt_at(test, attempt)
        self.attempt = attempt
        self.recorder = Recorder(sink, self.begun, tests={"/t", "/other"})
        super().__init__(self.begun.folder, self.recorder.apply, test)
        self.sink = sink
        self._skipped = (sink.folder / "results.jsonl").stat().st_size

    def ends(self, ending: Ending = PASSED) -> dict[str, Any]:
        """The run is over; return its final record."""
        return self.recorder.close(ending, seconds=1.0)

    def records(self) -> list[dict[str, Any]]:
        """The lines of this attempt."""
        with (self.sink.folder / "results.jsonl").open("rb") as file:
            file.seek(self._skipped)
            return [json.loads(line) for line in file]

    def files_on_disk(self) -> dict[str, bytes]:
        """What lies in this attempt's folder, the output apart."""
        files = self.sink.folder / "files"
        return {
            str(path.relative_to(files)): path.read_bytes()
            for path in _files_below(files / self.folder)
            if path != files / self.folder / "output.txt"
        }


def _pieces(data: bytes) -> Iterator[bytes]:
    """An empty file is one empty chunk."""
    yield data[:3]
    yield from (data[start : start + 3] for start in range(3, len(data), 3))


def _files_below(folder: Path) -> Iterator[Path]:
    yield from (path for path in islice(folder.rglob("*"), 10_000) if path.is_file())
