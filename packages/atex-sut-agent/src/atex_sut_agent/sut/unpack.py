"""Unpacks a pack (`packing.py`) into the current folder, and holds on to what it reads.

Neither the stream nor what it claims is trusted: an entry lies in a folder that an earlier entry made, nothing that is
there is replaced, no link is followed. So nothing is ever made outside of the current folder.
"""

import hashlib
import os
import stat

from .packing import DIGEST_SIZE, END, ENTRY, MAGIC, MAX_NAME

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable

_PIECE = 1 << 17  # bytes
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


class Damaged(Exception):
    """The stream is no pack, not a whole one, or not the one that it says it is."""


class Folders:
    """The folders of a pack that was unpacked, still open to us: `finish()` gives them their modes."""

    def __init__(self) -> None:
        self.modes: "dict[bytes, int]" = {}

    def make(self, name: bytes, mode: int) -> None:
        """Make one. Raises OSError."""
        os.mkdir(name, 0o700)
        self.modes[name] = mode

    def finish(self) -> None:
        """Give them the modes that they were packed with; relative to the current folder. Raises OSError."""
        for name, mode in reversed(list(self.modes.items())):
            os.chmod(name, mode)


class Stream:
    """What is read from a descriptor. `consumed` is called with all that was taken, once, in order."""

    def __init__(self, fd: int, consumed: "Callable[[memoryview], None]") -> None:
        self._fd = fd
        self._consumed = consumed
        self._buffer = b""
        self._position = 0
        self._hash = hashlib.sha256()

    def take(self, size: int) -> bytes:
        """Return the next bytes. Raises Damaged where there are fewer."""
        if len(self._buffer) - self._position < size:
            self._fill(size)
        end = self._position + size
        data = self._buffer[self._position : end]
        self._position = end
        return data

    def copy(self, size: int, fd: int) -> None:
        """Write the next bytes to `fd`. Raises Damaged, and OSError where they can not be written."""
        while size:
            data = self.take(min(size, _PIECE))
            size -= len(data)
            while data:
                data = data[os.write(fd, data) :]

    def digest(self) -> bytes:
        """Return the sha256 of what was taken."""
        self.settle()
        return self._hash.digest()

    def settle(self) -> None:
        """Let all that was taken be consumed."""
        with memoryview(self._buffer) as whole, whole[: self._position] as taken:
            self._hash.update(taken)
            self._consumed(taken)
        self._buffer = self._buffer[self._position :]
        self._position = 0

    def _fill(self, size: int) -> None:
        self.settle()
        pieces = [self._buffer]
        missing = size - len(self._buffer)
        while missing > 0:
            piece = os.read(self._fd, _PIECE)
            if not piece:
                raise Damaged("the stream breaks off inside the tree")
            pieces.append(piece)
            missing -= len(piece)
        self._buffer = b"".join(pieces)


def unpack(stream: Stream) -> "tuple[Folders, str]":
    """Make all that is in the stream; return its folders, to be finished, and the pack's name.

    Raises Damaged, and OSError with the name of what can not be made.
    """
    if stream.take(len(MAGIC)) != MAGIC:
        raise Damaged("the stream is no pack of this version")
    folders = Folders()
    while True:
        entry = stream.take(ENTRY.size)
        if entry == END:
            break
        mode, name_size, size, mtime = ENTRY.unpack(entry)
        name = _checked(stream.take(min(name_size, MAX_NAME + 1)), folders)
        try:
            _make(stream, folders, mode, name, size, mtime)
        except (OSError, OverflowError) as error:
            raise OSError(
                getattr(error, "errno", None),
                getattr(error, "strerror", str(error)),
                os.fsdecode(name),
            )
    digest = stream.digest()
    if stream.take(DIGEST_SIZE) != digest:
        raise Damaged("the stream is not what it says it is: its sha256 differs")
    stream.settle()
    return folders, digest.hex()


def _checked(name: bytes, folders: Folders) -> bytes:
    folder, slash, own = name.rpartition(b"/")
    if own in (b"", b".", b"..") or b"\0" in own or len(name) > MAX_NAME:
        raise Damaged("an entry has the name {!r}".format(name))
    if slash and folder not in folders.modes:
        raise Damaged("{!r} is in no folder of the tree".format(name))
    return name


def _make(stream: Stream, folders: Folders, mode: int, name: bytes, size: int, mtime: int) -> None:
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFREG:
        fd = os.open(name, _NEW, mode & 0o777)
        try:
            stream.copy(size, fd)
            if mode & _SPECIAL:  # who writes to a file takes them away
                os.fchmod(fd, stat.S_IMODE(mode))
            os.utime(fd, ns=(mtime, mtime))
        finally:
            os.close(fd)
    elif kind == stat.S_IFDIR and not size:
        folders.make(name, stat.S_IMODE(mode))
    elif kind == stat.S_IFLNK and 0 < size <= MAX_NAME:
        target = stream.take(size)
        if b"\0" in target:
            raise Damaged("the link {!r} has no possible target".format(name))
        os.symlink(target, name)
    else:
        raise Damaged("{!r} is neither a file nor a folder nor a link".format(name))
