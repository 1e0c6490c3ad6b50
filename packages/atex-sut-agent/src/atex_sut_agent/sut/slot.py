"""A slot of this machine: one session has it at a time, whoever it belongs to.

The lock is flock(2) on a file that any user may open, in each of FOLDERS where that is possible: which of them can be
used depends on who we are and on the system. It goes with the daemon, however that dies. What is written in the file
tells others who has the slot. Any user can write there, so the most that comes of it is that somebody waits: for a
session that restarts its machine (a day at most), for processes of a test that live on. Nothing is killed because of
it.
"""

import errno
import fcntl
import json
import os
import re
import stat
import time

from . import notes
from .leader import find
from .opening import SAFELY
from .processes import session_members

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from typing import Any

FOLDERS = ("/run/lock", "/var/tmp")

_RECORD = 2048  # bytes that the words take, always, so that they are written at one go; 400 characters fit in
_LONGEST = 200  # characters of an owner and of a test
_LONGEST_RESERVATION = 24 * 3600  # seconds
_LOWEST_OURS = 10  # descriptors below are a test's
_SESSION = re.compile(r"[0-9a-f]{32}\Z")
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


class Words:
    """Who has a slot, or had it last: harmless whatever `said` is."""

    def __init__(self, said: "Any" = None) -> None:
        said = said if isinstance(said, dict) else {}
        self.owner = _printable(said.get("owner"))
        self.test = _printable(said.get("test"))
        session = said.get("session")
        self.session = session if isinstance(session, str) and _SESSION.match(session) else ""
        self.since = _time(said.get("since"))
        until = _time(said.get("until"))
        # It comes back from a restart by then, or not any more; nobody keeps a slot for longer than a day that way.
        self.until = until if until <= time.time() + _LONGEST_RESERVATION else 0
        self._leader = said.get("leader")

    def survivors(self) -> "list[int]":
        """Return the processes (pids) that the last run of this owner left behind."""
        leader, _ = find(self._leader)
        return [] if leader is None else session_members(leader)


class Slot:
    """The slot `name` of this machine, which this process does not have yet."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._held: "dict[str, int]" = {}  # descriptors by path
        self._said: "dict[str, Any]" = {}

    def take(self) -> bool:
        """Try to get it; return whether it is ours now. Raises OSError where no folder can be used."""
        troubles = []
        for folder in FOLDERS:
            path = os.path.join(folder, "atex-{}.lock".format(self.name))
            try:
                self._held[path] = _lock(path)
            except BlockingIOError:
                self.leave()
                return False
            except OSError as error:
                troubles.append("{}: {}".format(path, error.strerror or error))
        if not self._held:
            raise OSError("no lock for slot {}: {}".format(self.name, "; ".join(troubles)))
        return True

    def words(self) -> Words:
        """Return what the owner says, or the last one said: empty words where there are none."""
        for folder in FOLDERS:
            words = Words(_read(os.path.join(folder, "atex-{}.lock".format(self.name))))
            if words.session:
                return words
        return Words()

    def introduce(self, owner: str, session: str) -> None:
        """Tell others who has it from now on, as far as that can be written."""
        self._said = {"owner": _printable(owner), "session": session, "since": int(time.time())}
        self._write()

    def tell(self, test: str, leader: "list[Any]") -> None:
        """Tell others that `test` runs, whose session is led by who has this identity (`leader.py`)."""
        self._said.pop("until", None)
        self._said["test"] = _printable(test)
        self._said["leader"] = leader
        self._write()

    def reserve(self, seconds: float) -> None:
        """The machine is about to restart. Others are to leave us the slot for so long, while nobody holds it."""
        if "until" not in self._said:
            self._said["until"] = int(time.time() + min(seconds, _LONGEST_RESERVATION))
            self._write()

    @property
    def descriptors(self) -> "list[int]":
        """What holds the lock, and goes on holding it in a process that is forked."""
        return list(self._held.values())

    def release(self) -> None:
        """Give it back; no file of ours is left where we can help it, and no words in that of another user."""
        self._said = {}
        self._write()
        for path in self._held:
            try:
                os.unlink(
                    path
                )  # while we hold it: who waits for this one looks whether it is still there
            except OSError:
                pass  # it was made by another user
        self.leave()

    def leave(self) -> None:
        """Let go of the files; the slot stays taken by a process that we have forked, where there is one."""
        for fd in self._held.values():
            os.close(fd)
        self._held.clear()

    def _write(self) -> None:
        text = json.dumps(self._said, ensure_ascii=False).encode("utf-8", "replace")
        record = text.ljust(_RECORD - 1) + b"\n"
        for fd in self._held.values():
            try:
                os.pwrite(fd, record, 0)
            except OSError:
                pass  # the disk is full, or the file can only be read by us; the lock is what counts


def _lock(path: str) -> int:
    """Return the descriptor of a locked file. Raises BlockingIOError where another has it, OSError where none can."""
    while True:
        fd = _open(path)
        try:
            found = os.fstat(fd)
            # What lies there may be a trap: a link to a file that only root can write, for instance.
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                raise OSError(errno.EINVAL, "exists, but is no plain file")
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, found):
                return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LOWEST_OURS)
        finally:
            os.close(fd)


def _open(path: str) -> int:
    try:
        # Without O_CREAT, which the kernel does not like for a file of another user's (fs.protected_regular).
        return os.open(path, os.O_RDWR | SAFELY)
    except OSError as error:
        if error.errno in _NOT_WRITABLE:
            return os.open(path, os.O_RDONLY | SAFELY)
        if error.errno != errno.ENOENT:
            raise
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | SAFELY, 0o666)
    except FileExistsError:  # somebody was faster
        return os.open(path, os.O_RDWR | SAFELY)
    os.fchmod(fd, 0o666)  # whatever the umask
    return fd


def _is_at(path: str, found: os.stat_result) -> bool:
    """Is this file still the one at `path`, and not removed by the one who had locked it before us?"""
    try:
        return os.path.samestat(os.lstat(path), found)
    except OSError:
        return False


def _read(path: str) -> "Any":
    try:
        return json.loads(notes.read(path, _RECORD).decode())
    except (OSError, ValueError, RecursionError):
        return None


def _time(seconds: "Any") -> float:
    return seconds if isinstance(seconds, (int, float)) and 0 < seconds < 1e11 else 0


def _printable(text: "Any") -> str:
    return "".join(filter(str.isprintable, text[:_LONGEST])) if isinstance(text, str) else ""
