"""The grammar of the control file: one `Door` is one client's stream, whichever way it came.

Pure: bytes are fed in pieces of any size, what they mean is told to a `Listener`. spec/CONTROL_FILE.md is the
source of the grammar.
"""

import re
from collections import deque

from .listener import Listener
from .names import subtest_name
from .results import MAX_RESULT, GrammarError, check_name, count_plain, decode_result, files_of

MAX_LINE = 4096  # bytes, the line feed included
MAX_INLINE = MAX_RESULT + len(b"result \n")  # bytes of a line that holds a result

# As many as are worth a look ahead: where the first of them is not plain, the look at the others was for nothing.
_INLINE_RESULTS = re.compile(rb"(?:result \{[^\n]*\n){1,256}")
_NUMBER = re.compile(r"-?[0-9]+\Z")
_FILE_COST = 400  # bytes of memory for a file that is still to come, roughly


class Door:
    """One stream of control lines and of what follows them.

    `feed` raises GrammarError once and for all: the stream can not be understood behind an error.
    """

    def __init__(self, listener: Listener, can_reply: bool = False) -> None:
        self.can_reply = can_reply  # does somebody listen at the other end?
        self.waiting = False  # until what it waits for may have come, `feed` takes no more than b""
        self._listener = listener
        self._buffer = bytearray()  # what was fed and not understood yet
        self._read = self._read_line  # what comes next: a line, JSON, a file's bytes
        self._result = b""  # JSON, without line feeds, of the result whose files are being read
        self._name = ""
        self._files: "deque[tuple[str, int]]" = (
            deque()
        )  # (name, bytes still to come), the one that is being read first
        self._files_cost = 0
        self._claimed = False
        self._json_length = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises GrammarError where they break the grammar."""
        if self._buffer:
            self._buffer += data
            if data and self._lacks_more_than(data):
                return
            data = bytes(self._buffer)
        self.waiting = False
        position = 0
        try:
            while not self.waiting:
                after = self._read(data, position)
                if after is None:
                    break
                position = after
        except GrammarError:
            self.drop()
            raise
        self._buffer = bytearray(data[position:])

    def _lacks_more_than(self, data: bytes) -> bool:
        """Is what the buffer begins with still unfinished, `data` being the end of the buffer?

        Asked before anything looks at the whole buffer: small pieces of something large cost no more than large ones.
        """
        size = len(self._buffer)
        if self._read == self._read_json:
            return size < self._json_length
        if self._read == self._read_line:
            return b"\n" not in data and size < _longest_line(self._buffer, 0)
        return False

    def end(self) -> None:
        """End of file. Raises GrammarError where it comes inside something."""
        unfinished = self.unfinished
        self.drop()
        if unfinished:
            raise GrammarError("the stream ends inside " + unfinished)

    def drop(self) -> None:
        """Forget what is unfinished; files that it began are cut back. Feed nothing more."""
        self._buffer = bytearray()
        self._forget_result()
        if self._claimed:
            self._claimed = False
            self._listener.cut_back(self)

    def _forget_result(self) -> None:
        self._result = b""
        self._files.clear()
        self._files_cost = 0
        self._read = self._read_line

    @property
    def unfinished(self) -> str:
        """What the stream is in the middle of, in words; "" between two control lines."""
        if self._read == self._read_line:
            return "a control line" if self._buffer else ""
        return "a result"

    @property
    def held(self) -> int:
        """How many bytes of memory what is unfinished takes, roughly."""
        return len(self._buffer) + len(self._result) + self._files_cost

    @property
    def passes(self) -> int:
        """How many more bytes it can take without holding more than a control line: those of a file pass through."""
        if self._read == self._read_files:
            return self._files[0][1] if self._files else 0
        return max(0, MAX_LINE - len(self._buffer))

    # Each _read_ function takes what it can from `buffer` at `position` and returns where the rest begins,
    # or None where it needs more.

    def _read_line(self, buffer: bytes, position: int) -> "int | None":
        inline = _INLINE_RESULTS.match(buffer, position)
        if inline:
            return self._read_inline_results(buffer, position, inline.end())
        end = buffer.find(b"\n", position)
        if end < 0:
            if len(buffer) - position >= _longest_line(buffer, position):
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
            self._listener.word(self, word, argument)
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
        name = subtest_name(value.get("name"), self._listener.test)
        if files or value.get("partial") or value.get("testout") is not None:
            check_name(name)
        # Strings hold no raw line feed, so all that there are stand between them and mean nothing.
        line = text.replace("\n", " ").replace("\r", " ").strip(" \t").encode("utf-8")
        if files:
            self._result = line
            self._name = name
            self._files.extend(files)
            self._files_cost = _FILE_COST * len(files)
            self._read = self._read_files
        else:
            self._listener.results(line + b"\n", 1)

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
                self._listener.file(self, self._name, name, data)
            position += len(data)
            if len(data) < missing:
                self._files[0] = (name, missing - len(data))
                return position if position > start else None
            self._files.popleft()
        line = self._result + b"\n"
        self._forget_result()
        self._claimed = False
        self._listener.commit(self, line)
        return position


def _longest_line(buffer: "bytes | bytearray", position: int) -> int:
    """Return how many bytes the line that begins at `position` may have."""
    return MAX_INLINE if buffer.startswith(b"result {", position) else MAX_LINE


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise GrammarError("a control line or a result is not UTF-8")
