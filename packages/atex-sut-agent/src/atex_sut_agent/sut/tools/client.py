"""A client of the control file."""

import _socket
import os
import stat

from .errors import ToolError

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 256 * 1024  # bytes


class Client:
    """A connection to the control file of the test that this process belongs to. Raises ToolError."""

    def __init__(self) -> None:
        path = os.environb.get(b"ATEX_CONTROL_FILE")
        if not path:
            raise ToolError(
                "this works only in a test that ATEX runs: ATEX_CONTROL_FILE is not set"
            )
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            self._socket.connect(path)
        except OSError as error:
            raise ToolError(
                "the test's control file is closed: {}: {}".format(
                    os.fsdecode(path), error.strerror
                )
            )
        self._broken = False

    def send(self, data: bytes) -> None:
        """Send, however long that takes. Where the other end has closed the door, `replies()` will tell why."""
        if not self._broken:
            try:
                self._socket.sendall(data)
            except OSError:
                self._broken = True

    def send_result(self, head: bytes, logs: "list[Log]" = []) -> None:  # noqa: B006  # it is not changed
        """Send a result whose JSON is `head`, and the bytes of its files."""
        self.send(b"result %d\n%b" % (len(head), head))
        for log in logs:
            for piece in log.pieces():
                self.send(piece)

    def finish(self) -> bytes:
        """Say that nothing more comes; return what comes back. Raises ToolError where that is an error."""
        try:
            self._socket.shutdown(_socket.SHUT_WR)
        except OSError:
            pass  # the other end was sooner
        return self.replies()

    def replies(self) -> bytes:
        """Return what comes back until the door is closed. Raises ToolError where that is an error."""
        received = b""
        while True:
            try:
                piece = self._socket.recv(_PIECE)
            except OSError:
                piece = b""
            if not piece:
                break
            received += piece
        for line in received.split(b"\n"):
            if line.startswith(b"error "):
                raise ToolError(line[6:].decode("utf-8", "replace"))
        if self._broken:
            raise ToolError("the test's control file was closed meanwhile")
        return received


class Log:
    """A file that is sent with a result: as long as it is now, whatever is appended to it meanwhile."""

    def __init__(self, path: str) -> None:
        self.name = os.path.basename(path)
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDONLY)
            found = os.fstat(self._fd)
            self._data = b""
            self.length = found.st_size
            if not stat.S_ISREG(found.st_mode) or not found.st_size:  # a pipe, or a file in /proc
                self._data = b"".join(iter(lambda: os.read(self._fd, _PIECE), b""))
                self.length = len(self._data)
        except OSError as error:
            raise ToolError("{}: {}".format(path, error.strerror))

    def pieces(self) -> "Iterator[bytes]":
        """Its bytes. Raises ToolError where it became shorter."""
        if self._data:
            yield self._data
            return
        missing = self.length
        while missing:
            piece = os.read(self._fd, min(_PIECE, missing))
            if not piece:
                raise ToolError("{} became shorter while it was sent".format(self._path))
            missing -= len(piece)
            yield piece


def result_json(fields: "dict[str, str]", logs: "list[Log]" = []) -> bytes:  # noqa: B006  # it is not changed
    """Return the JSON of a result with these strings and files."""
    members = ["{}:{}".format(_quoted(name), _quoted(value)) for name, value in fields.items()]
    if logs:
        files = ['{{"name":{},"length":{}}}'.format(_quoted(log.name), log.length) for log in logs]
        members.append('"files":[{}]'.format(",".join(files)))
    return "{{{}}}".format(",".join(members)).encode()


def _quoted(text: str) -> str:
    text = os.fsencode(text).decode("utf-8", "replace")
    escaped = [
        character if character >= " " and character not in '"\\' else "\\u%04x" % ord(character)
        for character in text
    ]
    return '"{}"'.format("".join(escaped))
