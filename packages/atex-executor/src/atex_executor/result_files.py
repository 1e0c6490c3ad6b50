"""The files of one attempt's results: bytes come first, then the result that lists them, or word to drop them.

The agent says for each chunk where it lands, and how long the file was before the result that it belongs to; here it
is held to its word. How long a file is, is asked from the sink, so that a test may send any number of files: only what
is unfinished is in memory.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
from atex_sut_agent.protocol import Cut
from atex_sut_agent.sut.names import MAX_RESULT_NAME, file_name_error

from atex_executor import layout
from atex_executor.errors import FileRefused, ProtocolBroken
from atex_executor.journal import Journal, Refused
from atex_executor.resume import OpenAttempt
from atex_executor.sink import Sink

MAX_NAME = (
    4096  # bytes, of a result that has files or is partial: spec/CONTROL_FILE.md, a control line
)
_MAX_UNFINISHED = 64 * 1024 * 1024  # bytes of memory for what is not finished or was refused
_FILE_COST = 300  # bytes, of a file, beside its names

_Key = tuple[str, str]  # name of the result, name of the file


class _Listed(msgspec.Struct):
    """One entry of a result's `files`."""

    name: str
    length: Annotated[int, msgspec.Meta(ge=0)]


class _Unfinished:
    """A file that gets bytes for a result which is still to come."""

    __slots__ = ("before", "length", "path", "there")

    def __init__(self, path: str, before: int | None, length: int, there: int | None) -> None:
        self.path = path
        self.before = before  # bytes that it had when the result began, None: it is new
        self.length = length  # bytes that were told of
        self.there = there  # bytes that are there, None: no file


class Finished(msgspec.Struct):
    """The files of one result."""

    lengths: dict[str, int] = msgspec.field(default_factory=dict)
    """How many bytes each of them has now."""
    new: list[str] = msgspec.field(default_factory=list)
    """Those that no result listed before."""


class ResultFiles:
    """Writes the files of one attempt into `sink`; `output` is the path of the test's output.

    What is the machine's fault raises ProtocolBroken, what is the sink's SinkError. What is the test's (a name that is
    a folder already) is told to `fail`, in words; such a file is not written, and the rest goes on.

    Where another process began the attempt (`resumed`), chunks and results may come again that it has dealt with:
    what is there already is not written again.
    """

    def __init__(
        self,
        sink: Sink,
        journal: Journal,
        attempt: OpenAttempt,
        output: str,
        fail: Callable[[str], None],
    ) -> None:
        self._sink = sink
        self._journal = journal
        self._folder = attempt.begun.folder
        self._output = output
        self._fail = fail
        self._resumed = attempt.resumed
        self._unfinished: dict[str, dict[str, _Unfinished]] = {}  # by result, by file
        self._refused = attempt.refused
        self._memory = 0  # bytes, an estimate
        for key in self._refused:
            self._remember(key, "")

    def chunk(self, name: str, file: str, offset: int, before: int | None, data: bytes) -> None:
        """Write the next bytes of `file` of the result `name`; it had `before` bytes, None: it is new."""
        key = (name, file)
        if key in self._refused:
            return
        try:
            unfinished = self._find(key) or self._begin(key, before, offset)
            if offset != unfinished.length or before != unfinished.before:
                raise ProtocolBroken(
                    f"file {file!r} has {unfinished.length} bytes, more came for offset {offset}"
                )
            self._write(unfinished, offset, data)
        except FileRefused as error:
            self._refuse(key, error)
        else:
            unfinished.length += len(data)

    def _write(self, unfinished: _Unfinished, offset: int, data: bytes) -> None:
        """Write what is not there. Behind a gap nothing is: such chunks come again, and are dropped again."""
        there = unfinished.there or 0
        new = data[max(0, there - offset) :]
        if offset <= there and (new or unfinished.there is None):
            self._sink.write(unfinished.path, max(offset, there), new)
            unfinished.there = max(there, offset + len(data))

    def finish(self, name: str, listed: Any, before: Sequence[int | None]) -> Finished:
        """Return what becomes of the files that a result lists; their bytes have come before.

        `before` are their lengths before, in the order in which `listed` names them first.
        """
        try:
            entries = msgspec.convert(listed, list[_Listed])
        except msgspec.ValidationError as error:
            raise ProtocolBroken(
                f"the files of a result are not what they should be: {error}"
            ) from error
        lengths: dict[str, int] = {}
        for entry in entries:
            lengths[entry.name] = lengths.get(entry.name, 0) + entry.length
        if len(before) != len(lengths):
            raise ProtocolBroken(
                f"{len(before)} lengths came with a result of {len(lengths)} files"
            )
        finished = Finished()
        for (file, length), was in zip(lengths.items(), before, strict=True):
            key = (name, file)
            if key not in self._refused:
                self._finish_one(key, length, was)
                finished.lengths[file] = (was or 0) + length
                if was is None:
                    finished.new.append(file)
        return finished

    def _finish_one(self, key: _Key, length: int, before: int | None) -> None:
        unfinished = self._find(key)
        there: int | None = None
        came = 0
        if unfinished is not None:
            came = unfinished.length - (unfinished.before or 0)
            there = unfinished.there if before == unfinished.before else None
        elif self._resumed:  # it came to the process that was killed
            came, there = length, self._sink.length(self._path(key))
        if came != length or there is None or there < (before or 0) + length:
            raise ProtocolBroken(
                f"a result lists {length} bytes of file {key[1]!r} behind {before}, {came} came"
            )
        self._forget(key)

    def has(self, name: str, file: str) -> bool:
        """Is there a file of this name already?"""
        try:
            return self._sink.length(self._path((name, file))) is not None
        except FileRefused:
            return False

    def link(self, name: str, file: str) -> bool:
        """Give the test's output the name `file` of the result `name`; return False where it can not have it."""
        path = self._path((name, file))
        try:
            if self._sink.length(self._output) is None:
                self._sink.output(self._output, 0, b"")
            self._sink.link(self._output, path)
        except FileRefused as error:
            self._refuse((name, file), error)
            return False
        return True

    def drop(self, cuts: Sequence[Cut]) -> None:
        """Cut files back to what they were before a result that stayed unfinished."""
        for cut in cuts:
            key = (cut.name, cut.file)
            if key in self._refused:
                continue
            try:
                unfinished = self._find(key) or self._begin(key, cut.length, cut.length or 0)
            except FileRefused as error:
                self._refuse(key, error)
                continue
            if cut.length != unfinished.before:
                raise ProtocolBroken(
                    f"file {cut.file!r} is to be cut back to {cut.length} bytes, it had others"
                )
            self._cut_back(key, unfinished)

    def cut(self, path: str, length: int | None) -> None:
        """Cut a file back to `length` bytes, where it has more; None: there is to be none."""
        there = self._sink.length(path)
        if there is not None and length is None:
            self._sink.remove(path)
        elif there is not None and length is not None and there > length:
            self._sink.cut(path, length)

    def drop_all(self) -> None:
        """Cut back whatever is unfinished."""
        for name, files in list(self._unfinished.items()):
            for file, unfinished in list(files.items()):
                self._cut_back((name, file), unfinished)

    def _find(self, key: _Key) -> _Unfinished | None:
        files = self._unfinished.get(key[0])
        return files.get(key[1]) if files else None

    def _begin(self, key: _Key, before: int | None, offset: int) -> _Unfinished:
        path = self._path(key)
        there = self._sink.length(path)
        if there is not None and self._sink.same_file(path, self._output):
            raise FileRefused("it is the output of the test")
        fits = before == there and offset == (before or 0)
        if self._resumed:
            fits = 0 <= (before or 0) <= offset
        if not fits:
            raise ProtocolBroken(
                f"file {key[1]!r} is said to have {before} bytes and to go on at {offset}, it has {there}"
            )
        unfinished = _Unfinished(path, before, offset, there)
        self._remember(key, path)
        self._unfinished.setdefault(key[0], {})[key[1]] = unfinished
        return unfinished

    def _path(self, key: _Key) -> str:
        check_names(*key)
        return layout.result_file(self._folder, *key)

    def _cut_back(self, key: _Key, unfinished: _Unfinished) -> None:
        self._forget(key)
        self.cut(unfinished.path, unfinished.before)

    def _refuse(self, key: _Key, error: FileRefused) -> None:
        unfinished = self._find(key)
        if unfinished is not None:
            self._cut_back(key, unfinished)
        self._remember(key, "")
        self._refused.add(key)
        self._fail(f"file {key[1]!r} can not be stored: {error}")
        self._journal.add(Refused(name=key[0], file=key[1]))

    def _remember(self, key: _Key, path: str) -> None:
        self._memory += self._cost(key, path)
        if self._memory > _MAX_UNFINISHED:
            raise ProtocolBroken("too many files without a result that lists them")

    def _forget(self, key: _Key) -> None:
        name, file = key
        files = self._unfinished.get(name, {})
        unfinished = files.pop(file, None)
        if not files:
            self._unfinished.pop(name, None)
        if unfinished is not None:
            self._memory -= self._cost(key, unfinished.path)

    def _cost(self, key: _Key, path: str) -> int:
        name, file = key
        names = len(file) if name in self._unfinished else len(name) + len(file)
        return 4 * names + len(path) + _FILE_COST  # a character has up to four bytes


def check_names(name: str, file: str | None = None) -> None:
    """Raise ProtocolBroken if there can be no result `name` that has files or is partial, or no such `file` of it."""
    if len(name.encode("utf-8", "replace")) > MAX_RESULT_NAME:
        raise ProtocolBroken(f"the name of a result is longer than {MAX_RESULT_NAME} bytes")
    reason = file_name_error(file) if file is not None else None
    if reason is not None:
        raise ProtocolBroken(reason)
