"""`Recorder`: what one attempt at a test leaves in a sink.

It takes the agent's messages in the order of their numbers, each once (the session sees to that), and believes none of
them: the machine under test may be anybody's. What no agent sends raises ProtocolBroken.

The hot path is `_record()`: a test may send hundreds of thousands of small results a second. Each is decoded once
and encoded once, and in between costs three looks and one dict.

Not thread-safe: one thread at a time (the session again).
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from atex_fmf import Test
from atex_sut_agent.protocol import (
    Again,
    AgentMessage,
    Clock,
    Dropped,
    FileChunk,
    Lengths,
    Noted,
    Output,
    Results,
)
from atex_sut_agent.sut.names import subtest_name

from atex_executor import layout
from atex_executor.ending import Ending
from atex_executor.errors import ProtocolBroken, SinkError
from atex_executor.held import MAX_HELD, HeldResults
from atex_executor.records import RUNNER_KEYS, final_record, record_head
from atex_executor.result_files import ResultFiles, check_names
from atex_executor.sink import Sink
from atex_executor.verdict import judge

MAX_DEPTH = 64  # of a result, spec/CONTROL_FILE.md
_PIECE = 256 * 1024  # bytes of results that are objects in memory at the same time
_MAX_REMARKS = 100  # in the log, of one run

# A result with one of these keys is looked at closely.
_SPECIAL_KEYS = RUNNER_KEYS | {"files", "testout", "partial"}

_log = logging.getLogger(__name__)
_decoder: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


class Recorder:
    """Records attempt number `attempt` at `test` on `platform` into `sink`; `machine` is the machine's name.

    `apply()` while it runs, then `close()` once.
    """

    def __init__(
        self, sink: Sink, test: Test, *, platform: str, machine: str, attempt: int
    ) -> None:
        folder = layout.attempt_folder(platform, test.name, test.serial, attempt)
        self._sink = sink
        self._test = test.name
        self._machine = machine
        self._head = record_head(test, platform, attempt)
        self._output = layout.output_file(folder)
        self._output_length = 0
        self._results = 0  # taken so far
        self._held = HeldResults()
        self._files = ResultFiles(sink, folder, self._output)
        self._error: str | None = (
            None  # the first thing the test did wrong that only the host can see
        )
        self._warned_of_keys = False
        self._remarks = 0

    def apply(self, message: AgentMessage, tail: bytes) -> None:
        """Write down what one message of this run says. Raises ProtocolBroken and SinkError."""
        match message:
            case Results():
                self._take_results(message, tail)
            case Output():
                self._take_output(message.offset, tail)
            case FileChunk():
                self._files.chunk(message.name, message.file, message.offset, message.before, tail)
            case Dropped():
                self._files.drop(message.cuts)
                self._remark(message.note)
            case Noted():
                self._remark(message.note)

    def again(self, clock: Clock, *, incarnation: str) -> tuple[list[Lengths], Again]:
        """The test starts again after a restart; return where it goes on."""
        return [], Again(clock=clock, results=self._results, output=self._output_length)

    def close(self, ending: Ending, *, started: str, seconds: float) -> dict[str, Any]:
        """Write the final record and return it: the run began at `started`, ended so, and took `seconds`.

        Raises SinkError only where the record itself can not be written.
        """
        try:
            self._files.drop_all()
            self._make_output()
            self._release_all()
        except SinkError as error:
            ending = Ending(ended_by="infra", note=str(error), exit_code=ending.exit_code)
        own = self._held.own
        fault = ending.error or self._error or self._files.refusal
        verdict = judge(msgspec.structs.replace(ending, error=fault), own.status, own.note)
        record = final_record(
            self._head,
            machine=self._machine,
            started=started,
            seconds=seconds,
            exit_code=verdict.exit_code,
            status=verdict.status,
            note=verdict.note,
            files=[self._output, *own.files],
            others=own.others,
        )
        self._sink.records([record])
        return record

    # Output ----------------------------------------------------------------------------------------------

    def _take_output(self, offset: int, data: bytes) -> None:
        if offset != self._output_length:
            raise ProtocolBroken(
                f"output came for offset {offset}, there are {self._output_length} bytes"
            )
        self._sink.output(self._output, offset, data)
        self._output_length += len(data)

    def _make_output(self) -> None:
        if not self._output_length:
            self._sink.output(self._output, 0, b"")

    # Results ---------------------------------------------------------------------------------------------

    def _take_results(self, message: Results, lines: bytes) -> None:
        if message.first != self._results + 1:
            raise ProtocolBroken(
                f"results from number {message.first} on came after number {self._results}"
            )
        try:
            for piece in _pieces(lines):
                self._record(piece, message.before)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ProtocolBroken(f"a result that is none: {error}") from error

    def _record(self, lines: bytes, before: Sequence[int | None]) -> None:
        head = self._head
        special = _SPECIAL_KEYS
        held = self._held.named
        n = self._results
        records = []
        for result in _decoder.decode_lines(lines):
            n += 1
            name = result.get("name")
            status = result.get("status", "")
            if (
                name.__class__ is str
                and name
                and name[0] != "/"
                and name not in held
                and status.__class__ is str
                and status != "infra"
                and result.get("note", "").__class__ is str
                and special.isdisjoint(result)
            ):
                records.append({**head, "n": n, **result})
            else:
                record = self._record_closely(n, result, before)
                if record is not None:
                    records.append(record)
        if records:
            self._sink.records(records)
        self._results = n

    def _record_closely(
        self, n: int, result: dict[str, Any], before: Sequence[int | None]
    ) -> dict[str, Any] | None:
        """Return the record of one result, whatever it has; None where it is held."""
        self._drop_runner_keys(result)
        name = subtest_name(_string(result, "name"), self._test)
        if _string(result, "status") == "infra":
            raise ProtocolBroken("a result has the status 'infra', which is the runner's alone")
        _string(result, "note")
        testout = _string(result, "testout")
        partial = result.pop("partial", None)
        files = self._files.finish(name, result.pop("files", None) or [], before)
        files += self._link_output(name, testout)
        for key in ("name", "testout"):
            result.pop(key, None)
        if partial or not name:
            self._hold(n, name, result, files)
            return None
        held = self._held.release(name)
        if held is not None:
            held.add(n, _bounded(result), files)
            return self._named_record(n, name, held.keys, held.files)
        for key in ("status", "note"):
            if key in result and result[key] is None:
                del result[key]
        return self._named_record(n, name, result, files)

    def _named_record(
        self, n: int, name: str, keys: dict[str, Any], files: list[str]
    ) -> dict[str, Any]:
        record = {**self._head, "n": n, "name": name, **keys}
        if files:
            record["files"] = files
        return record

    def _hold(self, n: int, name: str, result: dict[str, Any], files: list[str]) -> None:
        check_names(name)
        if self._held.full:
            return
        self._held.hold(n, name, _bounded(result), files)
        if self._held.full:
            self._error = self._error or (
                f"more than {MAX_HELD // 2**20} MiB of partial results and of results for the test itself"
            )

    def _release_all(self) -> None:
        """Record the partial results that nothing closed."""
        records = [
            self._named_record(held.n, name, held.keys, held.files)
            for name, held in self._held.named.items()
        ]
        if records:
            self._sink.records(records)

    def _link_output(self, name: str, file: str) -> list[str]:
        if not file or (not name and file == "output.txt"):
            return []  # the test itself has it under that name anyway
        self._make_output()
        return self._files.link(name, file)

    # The log ---------------------------------------------------------------------------------------------

    def _drop_runner_keys(self, result: dict[str, Any]) -> None:
        for key in RUNNER_KEYS & result.keys():
            del result[key]
            if not self._warned_of_keys:
                self._warned_of_keys = True
                _log.warning(
                    "%s: key %r of a result is the runner's and was dropped", self._test, key
                )

    def _remark(self, note: str) -> None:
        self._remarks += 1
        if self._remarks <= _MAX_REMARKS:
            _log.info("%s: %.500r", self._test, note)


def _string(result: dict[str, Any], key: str) -> str:
    """Return a string of a result; "" where it is missing or null."""
    value = result.get(key)
    if value is not None and not isinstance(value, str):
        raise ProtocolBroken(f"a result's {key} is not a string")
    return value or ""


def _bounded(result: dict[str, Any]) -> dict[str, Any]:
    """Return `result`, which is to be merged, where it is no deeper than results may be."""
    if _deeper_than(MAX_DEPTH, result):
        raise ProtocolBroken(f"a result is nested deeper than {MAX_DEPTH}")
    return result


def _pieces(lines: bytes) -> Iterator[bytes]:
    """Cut whole lines into pieces of about _PIECE bytes."""
    start = 0
    while len(lines) - start > _PIECE:
        end = lines.find(b"\n", start + _PIECE) + 1
        if not end:
            break
        yield lines[start:end]
        start = end
    yield lines[start:] if start else lines


def _deeper_than(levels: int, value: Any) -> bool:
    """Is there something inside `value` more than `levels` lists and objects deep?"""
    inner = [value]
    for _ in range(levels):
        inner = [item for outer in inner for item in _children(outer)]
        if not inner:
            return False
    return any(isinstance(item, dict | list) for item in inner)


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
