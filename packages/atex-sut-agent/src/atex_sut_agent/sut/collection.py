"""What a test left in TMT_TEST_DATA, sent as files of its final record.

The agent is one more client of the control file here: each file is a result without a name, read in pieces between
whatever else the loop has to do. It never follows a link, and takes nothing but regular files.
"""

import json
import os
import stat

from . import machine
from .control import Door
from .framing import MAX_CHUNK
from .listener import Listener
from .loop import Loop, Timer
from .names import file_name_error
from .opening import FOLDER, SAFELY
from .results import GrammarError

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_TURN = 4 * MAX_CHUNK  # bytes in one turn of the loop
_ENTRY = 4096  # bytes that looking at an entry counts for
_MAX_DEPTH = 64  # folders inside each other
_MAX_REMARKS = 20


class Collection:
    """Sends the files below `data` to `listener`. `on_over()` is called once.

    `data` is a folder in a folder, as the test found them. `sent(file)` tells how many bytes of a file of that name the
    host has got already, from an earlier start of the same test; `remark(text)` is a line for the log.
    """

    def __init__(
        self,
        loop: Loop,
        listener: Listener,
        data: str,
        sent: "Callable[[str], int]",
        remark: "Callable[[str], object]",
        on_over: "Callable[[], None]",
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._data = data
        self._sent = sent
        self._tell = remark
        self._remarks = 0
        self._on_over = on_over
        self._mounts: "set[str] | None" = None  # on and below `data`, once there is something in it
        self._work = self._collect()
        self._next: "Timer | None" = None  # turn
        self._deadline: "Timer | None" = None
        self._paused = False

    def begin(self) -> None:
        """Collect what one turn of the loop allows, and the rest in later ones."""
        if not self._paused:
            self._step()

    def pause(self) -> None:
        """Go no further until `resume()`."""
        self._paused = True
        _cancel(self._next)

    def resume(self) -> None:
        """Go on after `pause()`."""
        if self._paused:
            self._paused = False
            self._next = self._loop.after(0, self._step)

    def end_within(self, seconds: float, why: str = "the run was cancelled") -> None:
        """Leave where it is what is not collected by then."""
        _cancel(self._deadline)
        self._deadline = self._loop.after(seconds, lambda: self._break_off(why))

    def _break_off(self, why: str) -> None:
        self._tell("not all that the test left in TMT_TEST_DATA was collected: {}".format(why))
        self._end()

    def _step(self) -> None:
        budget = _TURN
        try:
            for size in self._work:
                budget -= size
                if budget <= 0:
                    self._next = self._loop.after(0, self._step)
                    return
        except (OSError, GrammarError) as error:
            self._remark(".", str(error))
        self._end()

    def _end(self) -> None:
        _cancel(self._next)
        _cancel(self._deadline)
        self._work.close()
        self._on_over()

    def _remark(self, path: str, why: str) -> None:
        self._remarks += 1
        if self._remarks <= _MAX_REMARKS:
            self._tell("{!r} in TMT_TEST_DATA was not collected: {}".format(path, why))
        elif self._remarks == _MAX_REMARKS + 1:
            self._tell("more in TMT_TEST_DATA was not collected")

    # Each of these yields how much it has done, in bytes, where the loop may go on with something else.

    def _collect(self) -> "Generator[int, None, None]":
        above, name = os.path.split(self._data)
        try:
            above_fd = os.open(above, FOLDER)
            try:
                fd = os.open(name, FOLDER, dir_fd=above_fd)
            finally:
                os.close(above_fd)
        except OSError as error:
            self._remark(".", os.strerror(error.errno or 0))
            return
        yield from self._collect_folder(fd, "", 0)

    def _collect_folder(self, fd: int, prefix: str, depth: int) -> "Generator[int, None, None]":
        """Collect what is in the open folder `fd`, and close it."""
        try:
            # Bytes: in the C locale, Python 3.6 would take names for ASCII.
            with os.scandir("/proc/self/fd/{}".format(fd).encode()) as entries:
                for entry in entries:
                    try:
                        yield from self._collect_entry(fd, entry.name, prefix, depth)
                    except OSError as error:
                        name = prefix + entry.name.decode("utf-8", "replace")
                        self._remark(name, os.strerror(error.errno or 0))
        finally:
            os.close(fd)

    def _collect_entry(
        self, fd: int, name: bytes, prefix: str, depth: int
    ) -> "Generator[int, None, None]":
        path = prefix + name.decode("utf-8", "replace")
        reason = file_name_error(prefix + name.decode("utf-8", "surrogateescape"))
        kind = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            reason = "it is neither a file nor a folder"
        elif stat.S_ISDIR(kind) and depth >= _MAX_DEPTH:
            reason = "folders are nested deeper than {}".format(_MAX_DEPTH)
        elif self._is_mounted(path):
            reason = "something is mounted there"
        if reason:
            self._remark(path, reason)
            yield _ENTRY
        elif stat.S_ISDIR(kind):
            yield _ENTRY
            inner = os.open(name, FOLDER, dir_fd=fd)
            yield from self._collect_folder(inner, path + "/", depth + 1)
        else:
            opened = os.open(name, SAFELY, dir_fd=fd)
            try:
                yield from self._send_file(opened, path)
            finally:
                os.close(opened)

    def _is_mounted(self, path: str) -> bool:
        if self._mounts is None:
            above = len(os.path.realpath(self._data)) + 1
            self._mounts = {point[above:] for point in machine.mounts_in(self._data)}
        return path in self._mounts or "" in self._mounts

    def _send_file(self, fd: int, path: str) -> "Generator[int, None, None]":
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            return  # it was another one a moment ago
        start = min(self._sent(path), found.st_size)
        missing = found.st_size - start
        if start and not missing:
            return
        os.lseek(fd, start, os.SEEK_SET)
        door = Door(self._listener)
        result = {"files": [{"name": path, "length": missing}]}
        try:
            door.feed("result {}\n".format(json.dumps(result)).encode())
            yield _ENTRY
            while missing:
                data = os.read(fd, min(MAX_CHUNK, missing))
                if not data:
                    self._remark(path, "it became shorter")
                    return
                missing -= len(data)
                door.feed(data)
                yield len(data)
        finally:
            if missing:
                door.drop()


def _cancel(timer: "Timer | None") -> None:
    if timer is not None:
        timer.cancel()
