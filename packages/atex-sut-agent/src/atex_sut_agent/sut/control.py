"""The grammar of the control file: one `Door` is one client's stream, whichever way it came.

Pure: bytes are fed in pieces of any size, what they mean is told to a `Listener`. spec/CONTROL_FILE.md is the
source of the grammar.
"""

import re
from collections import deque

from .names import subtest_name
from .results import MAX_RESULT, GrammarError, count_plain, decode_result, files_of

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from typing import Any

MAX_LINE = 4096  # bytes, the line feed included
MAX_INLINE = MAX_RESULT + len(b"result \n")  # bytes of a line that holds a result

# As many as are worth a look ahead: where the first of them is not plain, the look at the others was for nothing.
_INLINE_RESULTS = re.compile(rb"(?:result \{[^\n]*\n){1,256}")
_NUMBER = re.compile(r"-?[0-9]+\Z")


class Listener:
    """What a Door tells. A run implements this; each method is called from within `Door.feed`."""

    test = ""  # the test's name, by which names of results are shortened

    def results(self, lines: bytes, count: int) -> None:
        """`count` complete results, `lines` is their JSON, a line each (bytes)."""

    def claim(self, door: "Door", name: str, files: "list[str]") -> bool:
        """May `door` write to these files of result `name` now? Where not, `door.feed(b"")` is called later."""
        raise NotImplementedError

    def file(self, name: str, file: str, data: bytes) -> None:
        """The next bytes of a claimed file."""

    def release(self, door: "Door", commit: bool) -> None:
        """The claimed files are done (`commit`), or their result is dropped and they are cut back."""

    def word(self, word: str, argument: str) -> None:
        """A control line that is no result (strings). Raises GrammarError."""


class Door:
    """One stream of control lines and of what follows them.

    `feed` raises GrammarError once and for all: the stream can not be understood behind an error.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._buffer = b""
        self._read = self._read_line  # what comes next: a line, JSON, a file's bytes
        self._result = b""  # JSON, without line feeds, of the result whose files are being read
        self._name = ""
        self._files: "deque[tuple[str, int]]" = (
            deque()
        )  # (name, bytes still to come), the one that is being read first
        self._claimed = False
        self._json_length = 0
        self.waiting = False  # for files that another door is writing: feed no more than b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises GrammarError where they break the grammar."""
        buffer = self._buffer + data if self._buffer else data
        position = 0
        try:
            while True:
                after = self._read(buffer, position)
                if after is None:
                    break
                position = after
        except GrammarError:
            self.drop()
            raise
        self._buffer = buffer[position:]

    def end(self) -> None:
        """End of file. Raises GrammarError where it comes inside something."""
        unfinished = self.unfinished
        self.drop()
        if unfinished:
            raise GrammarError("the stream ends inside " + unfinished)

    def drop(self) -> None:
        """Forget what is unfinished; files that it began are cut back."""
        self._buffer = b""
        if self._claimed:
            self._claimed = False
            self._listener.release(self, False)

    @property
    def unfinished(self) -> str:
        """What the stream is in the middle of, in words; "" between two control lines."""
        if self._read == self._read_line:
            return "a control line" if self._buffer else ""
        return "a result"

    # Each _read_ function takes what it can from `buffer` at `position` and returns where the rest begins,
    # or None where it needs more.

    def _read_line(self, buffer: bytes, position: int) -> "int | None":
        inline = _INLINE_RESULTS.match(buffer, position)
        if inline:
            return self._read_inline_results(buffer, position, inline.end())
        end = buffer.find(b"\n", position)
        if end < 0:
            is_inline = buffer.startswith(b"result {", position)
            if len(buffer) - position >= (MAX_INLINE if is_inline else MAX_LINE):
                raise GrammarError("a control line is too long")
            return None
        self._handle_line(buffer[position:end])
        return end + 1

    def _read_inline_results(self, buffer: bytes, position: int, end: int) -> int:
        """Read `result {...}` lines up to `end`, the plain ones together, or the first one where it is not plain."""
        run = buffer[position : end - 1]
        try:
            lines = run.decode("utf-8").split("\n")
        except UnicodeDecodeError:
            lines = []  # one of them is to blame, those before it are not
        count = count_plain(lines) if len(run) < MAX_INLINE else 0
        if not count:
            return self._read_inline_result(buffer, position)
        if count < len(lines):
            run = run[: len("\n".join(lines[:count]).encode("utf-8"))]
        # Within a line of JSON there is no raw line feed, so this finds only the beginnings of lines.
        self._listener.results(run[7:].replace(b"\nresult ", b"\n") + b"\n", count)
        return position + len(run) + 1

    def _read_inline_result(self, buffer: bytes, position: int) -> int:
        after = buffer.index(b"\n", position) + 1
        if after - position > MAX_INLINE:
            raise GrammarError("a result is too long")
        self._begin_result(_text(buffer[position + 7 : after - 1]))
        return after

    def _handle_line(self, line: bytes) -> None:
        if len(line) >= MAX_LINE:
            raise GrammarError("a control line is too long")
        word, _, argument = _text(line).partition(" ")
        argument = argument.strip(" \t\r")
        if word != "result":
            self._listener.word(word, argument)
        elif argument.startswith("{"):
            self._begin_result(argument)
        elif _NUMBER.match(argument) and 0 < int(argument) <= MAX_RESULT:
            self._json_length = int(argument)
            self._read = self._read_json
        elif _NUMBER.match(argument):
            raise GrammarError(
                "a result of {} bytes; 1 to {} are allowed".format(argument, MAX_RESULT)
            )
        else:
            raise GrammarError(
                "'result' needs a length or an object, not {!r}".format(argument[:80])
            )

    def _read_json(self, buffer: bytes, position: int) -> "int | None":
        end = position + self._json_length
        if len(buffer) < end:
            return None
        self._read = self._read_line
        self._begin_result(_text(buffer[position:end]))
        return end

    def _begin_result(self, text: str) -> None:
        value = decode_result(text)
        files = files_of(value)
        # Strings hold no raw line feed, so all that there are stand between them and mean nothing.
        line = text.replace("\n", " ").replace("\r", " ").strip(" \t").encode("utf-8")
        if files:
            self._begin_files(line, value, files)
        else:
            self._listener.results(line + b"\n", 1)

    def _begin_files(
        self, line: bytes, value: "dict[str, Any]", files: "list[tuple[str, int]]"
    ) -> None:
        self._result = line
        self._name = subtest_name(value.get("name"), self._listener.test)
        self._files = deque(files)
        self._read = self._read_files

    def _read_files(self, buffer: bytes, position: int) -> "int | None":
        if not self._claimed:
            names = [name for name, _ in self._files]
            self._claimed = self._listener.claim(self, self._name, names)
            self.waiting = not self._claimed
            if self.waiting:
                return None
        start = position
        while self._files:
            name, missing = self._files[0]
            data = buffer[position : position + missing]
            if data or not missing:
                self._listener.file(self._name, name, data)
            position += len(data)
            if len(data) < missing:
                self._files[0] = (name, missing - len(data))
                return position if position > start else None
            self._files.popleft()
        self._listener.results(self._result + b"\n", 1)
        self._claimed = False
        self._listener.release(self, True)
        self._read = self._read_line
        return position


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise GrammarError("a control line or a result is not UTF-8")
