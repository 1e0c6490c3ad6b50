"""Messages of a run as an agent would tell them, and beside them what they should leave on disk."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from atex_executor import FolderSink
from atex_executor.ending import Ending
from atex_executor.journal import Attempt
from atex_executor.layout import attempt_folder, result_file
from atex_executor.recorder import Recorder
from atex_fmf import Test
from atex_sut_agent.protocol import Cut, Dropped, FileChunk, Output, Results
from atex_sut_agent.sut.names import subtest_name

PASSED = Ending(exit_code=0)


class Told:
    """One attempt at `test`, told message by message to a Recorder that writes into `sink`."""

    def __init__(self, sink: FolderSink, *, attempt: int = 1, test: str = "/t") -> None:
        self.test = Test(name=test, test="true", serial=1)
        self.folder = attempt_folder("p", test, 1, attempt)
        self.attempt = attempt
        self.begun = Attempt.of(
            self.test,
            platform="p",
            machine="m",
            attempt=attempt,
            started="2026-11-20T15:04:05.123Z",
        )
        self.recorder = Recorder(sink, self.begun)
        self.output = b""
        self.files: dict[str, bytes] = {}  # path below files/: content
        self._lengths: dict[tuple[str, str], int] = {}
        self._results = 0
        self._sink = sink
        self._skipped = (sink.folder / "results.jsonl").stat().st_size

    def prints(self, data: bytes) -> None:
        """The test writes to its stdout."""
        self.recorder.apply(Output(run=1, offset=len(self.output)), data)
        self.output += data

    def sends(self, *results: dict[str, Any]) -> None:
        """The test sends results without files, or whose files were sent already."""
        lines = b"".join(json.dumps(result).encode() + b"\n" for result in results)
        self.recorder.apply(Results(run=1, first=self._results + 1), lines)
        self._results += len(results)

    def sends_files(self, result: dict[str, Any], files: list[tuple[str, bytes]]) -> None:
        """The test sends a result with these files."""
        name = subtest_name(result.get("name"), self.test.name)
        before = {file: self._lengths.get((name, file)) for file, _ in files}
        for file, data in files:
            self._sends_file(name, file, data, before[file])
        line = {**result, "files": [{"name": file, "length": len(data)} for file, data in files]}
        message = Results(run=1, first=self._results + 1, before=tuple(before.values()))
        self.recorder.apply(message, json.dumps(line).encode())
        self._results += 1

    def drops(self, name: str, files: list[tuple[str, bytes]]) -> None:
        """The test breaks off in the middle of a result with these files."""
        before = {file: self._lengths.get((name, file)) for file, _ in files}
        kept = dict(self.files)
        for file, data in files:
            self._sends_file(name, file, data, before[file])
        cuts = tuple(Cut(name=name, file=file, length=length) for file, length in before.items())
        self.recorder.apply(Dropped(run=1, cuts=cuts, note="unfinished"), b"")
        self.files = kept
        for file, length in before.items():
            if length is None:
                del self._lengths[name, file]
            else:
                self._lengths[name, file] = length

    def _sends_file(self, name: str, file: str, data: bytes, before: int | None) -> None:
        path = result_file(self.folder, name, file)
        for piece in _pieces(data):
            offset = self._lengths.get((name, file), 0)
            message = FileChunk(run=1, name=name, file=file, offset=offset, before=before)
            self.recorder.apply(message, piece)
            self._lengths[name, file] = offset + len(piece)
            self.files[path] = self.files.get(path, b"") + piece

    def ends(self, ending: Ending = PASSED) -> dict[str, Any]:
        """The run is over; return its final record."""
        return self.recorder.close(ending, seconds=1.0)

    def records(self) -> list[dict[str, Any]]:
        """The lines of this attempt."""
        with (self._sink.folder / "results.jsonl").open("rb") as file:
            file.seek(self._skipped)
            return [json.loads(line) for line in file]

    def files_on_disk(self) -> dict[str, bytes]:
        """What lies in this attempt's folder, the output apart."""
        files = self._sink.folder / "files"
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
