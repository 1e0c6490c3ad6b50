"""The results of one attempt: frames of lines come in, records go out, or wait among what is held.

The hot path is `_take_piece()`: a test may send hundreds of thousands of small results a second. Each is decoded once
and encoded once, and in between costs three looks and one dict.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Any

import msgspec
from atex_sut_agent.protocol import Results
from atex_sut_agent.sut.names import subtest_name
from atex_sut_agent.sut.results import MAX_DEPTH

from atex_executor.errors import ProtocolBroken
from atex_executor.held import MAX_HELD, HeldResults
from atex_executor.journal import Closed, Held, Journal, Line, Listed
from atex_executor.layout import result_file
from atex_executor.line_file import UNDECODABLE
from atex_executor.records import RUNNER_KEYS
from atex_executor.result_files import Finished, ResultFiles, check_names
from atex_executor.resume import OpenAttempt
from atex_executor.sink import Sink

_PIECE = 256 * 1024  # bytes of results that are objects in memory at the same time

# A result with one of these keys is looked at closely.
_SPECIAL_KEYS = RUNNER_KEYS | {"files", "testout", "partial"}

_log = logging.getLogger(__name__)
_decoder: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


class ResultLines:
    """Records the results of `attempt` into `sink`; what is wrong with one is told to `fail`, in words.

    Of a resumed attempt, results may come again: what is recorded or held already is so once.
    """

    def __init__(
        self,
        sink: Sink,
        journal: Journal,
        attempt: OpenAttempt,
        files: ResultFiles,
        fail: Callable[[str], None],
    ) -> None:
        self.held: HeldResults = attempt.held
        self.count = max(attempt.recorded_until, attempt.held_until, attempt.results)
        """The number of the last result that was taken."""
        self._attempt = attempt
        self._sink = sink
        self._journal = journal
        self._files = files
        self._fail = fail
        self._head = attempt.begun.head
        self._test = attempt.begun.test
        self._known = self.count if attempt.resumed else 0  # up to here they may be old ones
        self._lines: list[Line] = []  # for the journal, behind the records of this piece
        self._warned_of_keys = False

    def take(self, message: Results, lines: bytes) -> None:
        """Take one frame. Raises ProtocolBroken and SinkError."""
        again = self._attempt.resumed and message.first <= self.count
        ignored = self._attempt.resumed and self.held.full  # results that left no trace
        if message.first != self.count + 1 and (message.first < 1 or not (again or ignored)):
            raise ProtocolBroken(
                f"results from number {message.first} on came after number {self.count}"
            )
        n = message.first
        try:
            for piece in _pieces(lines):
                n = self._take_piece(n, piece, message.before)
        except UNDECODABLE as error:
            raise ProtocolBroken(f"a result that is none: {error}") from error

    def release_all(self) -> None:
        """Record the partial results that nothing closed. Raises SinkError."""
        records = [
            self._record(held.n, name, held.keys, held.files)
            for name, held in self.held.named.items()
        ]
        if records:
            self._sink.records(records)

    def _take_piece(self, n: int, lines: bytes, before: Sequence[int | None]) -> int:
        """Take results from number `n` on; return the number behind them."""
        head = self._head
        special = _SPECIAL_KEYS
        held = self.held.named
        known = inf if before else self._known  # one that has files is looked at closely as well
        records = []
        for result in _decoder.decode_lines(lines):
            name = result.get("name")
            status = result.get("status", "")
            if (
                n > known
                and name.__class__ is str
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
                record = self._take_closely(n, result, before)
                if record is not None:
                    records.append(record)
            n += 1
        if records:
            self._sink.records(records)
        if self._lines:
            self._journal.add(*self._lines)
            self._lines.clear()
        self.count = max(self.count, n - 1)
        return n

    def _take_closely(
        self, n: int, result: dict[str, Any], before: Sequence[int | None]
    ) -> dict[str, Any] | None:
        """Return the record of one result, whatever it has; None where it is held, or was dealt with."""
        self._drop_runner_keys(result)
        name = subtest_name(_string(result, "name"), self._test)
        if _string(result, "status") == "infra":
            raise ProtocolBroken("a result has the status 'infra', which is the runner's alone")
        _string(result, "note")
        testout = _string(result, "testout")
        for_holding = bool(result.pop("partial", None)) or not name
        listed = result.pop("files", None) or []
        for key in ("name", "testout"):
            result.pop(key, None)
        files = self._files.finish(name, listed, before)
        if testout in files.lengths:
            raise ProtocolBroken(f"file {testout!r} is the testout of the same result")
        if n <= (self._attempt.held_until if for_holding else self._attempt.recorded_until):
            if not for_holding:
                self._release(name, n)
            return None
        link = self._link(n, name, testout, files, held=for_holding)
        paths = self._paths(name, files.new if link is None else [*files.new, link])
        if not for_holding:
            return self._complete(n, name, result, paths)
        check_names(name)
        if not self.held.full:
            self._hold(n, name, result, paths)
            line = Held(
                n=n, name=name, result=result, lengths=files.lengths, new=files.new, link=link
            )
            self._lines.append(line)
        return None

    def _complete(
        self, n: int, name: str, result: dict[str, Any], files: list[str]
    ) -> dict[str, Any]:
        held = self.held.named.get(name)
        if held is not None:
            held.add(n, _bounded(result), files)
            self._release(name, n)
            return self._record(n, name, held.keys, held.files)
        for key in ("status", "note"):
            if key in result and result[key] is None:
                del result[key]
        return self._record(n, name, result, files)

    def _record(self, n: int, name: str, keys: dict[str, Any], files: list[str]) -> dict[str, Any]:
        record = {**self._head, "n": n, "name": name, **keys}
        if files:
            record["files"] = files
        return record

    def _hold(self, n: int, name: str, result: dict[str, Any], files: list[str]) -> None:
        self.held.hold(n, name, _bounded(result), files)
        if self.held.full:
            self._fail(
                f"more than {MAX_HELD // 2**20} MiB of partial results and of results for the test itself"
            )

    def _release(self, name: str, n: int) -> None:
        held = self.held.named.get(name)
        if held is not None and held.n <= n:
            self.held.release(name)
            self._lines.append(Closed(name=name))

    def _link(self, n: int, name: str, file: str, files: Finished, *, held: bool) -> str | None:
        """Link the output to a result that asks for it; return the name if it is a new one. Journal what is to come."""
        if not name and file == "output.txt":
            file = ""  # the test itself has it under that name anyway
        known = (n, name, file) in self._attempt.links
        link = file if file and (known or not self._files.has(name, file)) else None
        if link is not None or (files.lengths and not held):
            lengths, new = ({}, []) if held else (files.lengths, files.new)
            self._journal.add(
                Listed(n=n, name=name, lengths=lengths, new=new, link=link, held=held)
            )
        linked = bool(file) and self._files.link(name, file)
        return link if linked else None

    def _paths(self, name: str, files: list[str]) -> list[str]:
        return [result_file(self._attempt.begun.folder, name, file) for file in files]

    def _drop_runner_keys(self, result: dict[str, Any]) -> None:
        for key in RUNNER_KEYS & result.keys():
            del result[key]
            if not self._warned_of_keys:
                self._warned_of_keys = True
                _log.warning(
                    "%s: key %r of a result is the runner's and was dropped", self._test, key
                )


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
