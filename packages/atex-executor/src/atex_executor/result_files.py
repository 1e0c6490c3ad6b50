"""The files of one attempt's results: bytes come first, then the result that lists them, or word to drop them.

The agent says for each chunk where it lands; here it is held to its word. How long a file is that belongs to results
already is asked from the sink, so that a test may send any number of files: only what is unfinished is in memory.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from atex_sut_agent.protocol import Cut
from atex_sut_agent.sut.names import file_name_error

from atex_executor import layout
from atex_executor.errors import FileRefused, ProtocolBroken
from atex_executor.sink import Sink

_MAX_UNFINISHED = (
    64 * 1024 * 1024
)  # bytes of memory, roughly, for what is not finished or was refused
_ENTRY_COST = 500  # bytes, of a file in memory, beside its names


class _Listed(msgspec.Struct):
    """One entry of a result's `files`."""

    name: str
    length: Annotated[int, msgspec.Meta(ge=0)]


class _Unfinished:
    """A file that gets bytes for a result which is still to come. `before` is its length at first, None: new."""

    def __init__(self, path: str, before: int | None) -> None:
        self.path = path
        self.before = before
        self.length = before or 0


class ResultFiles:
    """Writes the files of one attempt below `folder` into `sink`.

    What is the machine's fault raises ProtocolBroken, what is the sink's SinkError. What is the test's (a name that is
    a folder already) is in `refusal`, the first time in words; such a file is not written, and the rest goes on.
    """

    def __init__(self, sink: Sink, folder: str) -> None:
        self.refusal: str | None = None
        self._sink = sink
        self._folder = folder
        self._unfinished: dict[tuple[str, str], _Unfinished] = {}
        self._refused: set[tuple[str, str]] = set()
        self._links: set[str] = set()  # paths that are the test's output
        self._memory = 0  # bytes, an estimate

    def chunk(self, name: str, file: str, offset: int, data: bytes) -> None:
        """Write the next bytes of `file` of the result `name`."""
        key = (name, file)
        if key in self._refused:
            return
        try:
            unfinished = self._unfinished.get(key) or self._begin(key)
            if offset != unfinished.length:
                raise ProtocolBroken(
                    f"file {file!r} has {unfinished.length} bytes, more came for offset {offset}"
                )
            self._sink.write(unfinished.path, offset, data)
        except FileRefused as error:
            self._refuse(key, error)
        else:
            unfinished.length += len(data)

    def finish(self, name: str, listed: Any) -> list[str]:
        """Return the paths that a result with this `files` is the first to list; their bytes have come before."""
        try:
            entries = msgspec.convert(listed, list[_Listed])
        except msgspec.ValidationError as error:
            raise ProtocolBroken(
                f"the files of a result are not what they should be: {error}"
            ) from error
        lengths: dict[str, int] = {}
        for entry in entries:
            lengths[entry.name] = lengths.get(entry.name, 0) + entry.length
        new = [self._finish_one((name, file), length) for file, length in lengths.items()]
        return [path for path in new if path is not None]

    def _finish_one(self, key: tuple[str, str], length: int) -> str | None:
        if key in self._refused:
            return None
        unfinished = self._unfinished.get(key)
        came = unfinished.length - (unfinished.before or 0) if unfinished else None
        if unfinished is None or came != length:
            raise ProtocolBroken(f"a result lists {length} bytes of file {key[1]!r}, {came} came")
        self._forget(key)
        return unfinished.path if unfinished.before is None else None

    def link(self, name: str, file: str, output: str) -> list[str]:
        """Give the file `output` the name `file` of the result `name`; return the path as a list, empty if not new."""
        _check_name(file)
        path = layout.result_file(self._folder, name, file)
        if path in self._links or path == output:
            return []
        try:
            self._sink.link(output, path)
        except FileRefused as error:
            self._refuse((name, file), error)
            return []
        self._links.add(path)
        return [path]

    def drop(self, cuts: Sequence[Cut]) -> None:
        """Cut files back to what they were before a result that stayed unfinished."""
        for cut in cuts:
            key = (cut.name, cut.file)
            if key in self._refused:
                continue
            unfinished = self._unfinished.get(key) or self._begin(key)
            if (cut.length or 0) != (unfinished.before or 0):
                raise ProtocolBroken(
                    f"file {cut.file!r} is to be cut back to {cut.length} bytes, it had others"
                )
            self._cut_back(key, unfinished)

    def drop_all(self) -> None:
        """Cut back whatever is unfinished."""
        for key, unfinished in list(self._unfinished.items()):
            self._cut_back(key, unfinished)

    def _begin(self, key: tuple[str, str]) -> _Unfinished:
        name, file = key
        _check_name(file)
        path = layout.result_file(self._folder, name, file)
        if path in self._links:
            raise FileRefused("it is the output of the test")
        unfinished = self._unfinished[key] = _Unfinished(path, self._sink.length(path))
        self._remember(key)
        return unfinished

    def _cut_back(self, key: tuple[str, str], unfinished: _Unfinished) -> None:
        self._forget(key)
        if unfinished.before is not None:
            self._sink.cut(unfinished.path, unfinished.before)
        elif self._sink.length(unfinished.path) is not None:
            self._sink.remove(unfinished.path)

    def _refuse(self, key: tuple[str, str], error: FileRefused) -> None:
        unfinished = self._unfinished.get(key)
        if unfinished is not None:
            self._cut_back(key, unfinished)
        self._refused.add(key)
        self._remember(key)
        self.refusal = self.refusal or f"file {key[1]!r} can not be stored: {error}"

    def _remember(self, key: tuple[str, str]) -> None:
        self._memory += _cost(key)
        if self._memory > _MAX_UNFINISHED:
            raise ProtocolBroken("too many files without a result that lists them")

    def _forget(self, key: tuple[str, str]) -> None:
        del self._unfinished[key]
        self._memory -= _cost(key)


def _cost(key: tuple[str, str]) -> int:
    return len(key[0]) + len(key[1]) + _ENTRY_COST


def _check_name(file: str) -> None:
    reason = file_name_error(file)
    if reason is not None:
        raise ProtocolBroken(reason)
