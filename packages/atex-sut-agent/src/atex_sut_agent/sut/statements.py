"""What a test says through the doors of its control file, and what comes of it."""

from collections import deque

from . import words
from .clock import now
from .control import Door
from .doors import Doors
from .files import Files, cuts_by_frame
from .lifetime import Lifetime
from .listener import Listener
from .loop import Loop
from .report import Report
from .results import GrammarError

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from typing import Any

_MAX_MARKS = 1000  # that one start of a test may leave
_MAX_ADDED = 10000  # tests that one run may add, its restarts included


class Statements(Listener):
    """The doors of one run at `path`, open until they are shut. Raises OSError.

    `test` is the test's name, by which names of results are shortened.
    """

    def __init__(
        self, loop: Loop, path: str, test: str, report: Report, lifetime: Lifetime
    ) -> None:
        self.test = test
        self.exit_code: "int | None" = None  # what `exitcode` asked for
        self.abort_note: "str | None" = None  # of `abort`, "" where it had none
        self.error: "str | None" = None  # the first reason why a door was closed
        self._report = report
        self._lifetime = lifetime
        self._files = Files()
        self._marks = 0
        self._added = 0
        # (frame, who waits until that is acknowledged, what it is told then)
        self._syncs: "deque[tuple[int, Door, str]]" = deque()
        self._restart_frame: "int | None" = None  # of the announcement; once noted, the doors close
        self._restart_noted = False
        self._patience: "int | None" = None  # seconds that it gives the machine to come back
        self.doors = Doors(loop, self, path)

    def continue_with(self, lengths: "list[dict[str, Any]]", added: int) -> None:
        """The run was started before: it has sent these files (`Lengths`), and added so many tests."""
        for file in lengths:
            self._files.continue_with(file["name"], file["file"], file["length"])
        self._added = added

    @property
    def breaking_off(self) -> bool:
        return self._lifetime.killing or self._restart_noted

    @property
    def full(self) -> bool:
        return self._report.full

    def results(self, lines: bytes, count: int) -> None:
        self._report.results(lines, count)

    def flush(self) -> None:
        self._report.flush()

    def claim(self, door: Door, name: str, files: "list[str]") -> bool:
        return self._files.claim(door, name, files)

    def sent(self, file: str) -> int:
        """How many bytes of a file of the test itself have been sent with results."""
        return self._files.length("", file)

    def file(self, door: Door, name: str, file: str, data: bytes) -> None:
        offset, before = self._files.grow(door, file, len(data))
        self._report.send("file", data, name=name, file=file, offset=offset, before=before)

    def commit(self, door: Door, line: bytes) -> None:
        self._report.result_with_files(line, self._files.commit(door))
        self.doors.released()

    def cut_back(self, door: Door) -> None:
        for cuts in cuts_by_frame(self._files.cut_back(door)):
            self._report.send("dropped", cuts=cuts, note="an unfinished result")
        self.doors.released()

    # Words -----------------------------------------------------------------------------------------------

    def word(self, door: Door, word: str, argument: str) -> None:
        if word == "duration":
            self._change_limit(argument)
        elif word == "exitcode":
            self.exit_code = words.exit_code(argument)
        elif word in ("restart", "disconnect"):
            self._restart(words.patience(word, argument))
        elif word == "abort":
            self._abort(argument)
        elif word == "mark":
            self._mark(*words.mark(argument))
        elif word == "addtest":
            self._add_test(*words.added_test(argument))
        elif word == "sync":
            self._sync(door, words.token(argument))
        elif word != "noop":
            raise GrammarError("unknown word {!r}".format(word[:80]))

    def _change_limit(self, argument: str) -> None:
        change = words.limit_change(argument)
        try:
            self._lifetime.change_limit(change)
        except ValueError as error:
            raise GrammarError(str(error))

    def _restart(self, patience: "int | None") -> None:
        if self._restart_frame is None:  # else it has been said before
            self._patience = patience
            clock = self._lifetime.limit.clock(now())
            self._restart_frame = self._report.send("restarting", clock=clock, patience=patience)

    def _abort(self, note: str) -> None:
        if self.abort_note is None:  # else it has been said before
            self.abort_note = note
            self._lifetime.abort()

    def _mark(self, name: str, value: str) -> None:
        self._marks += 1
        if self._marks > _MAX_MARKS:
            raise GrammarError("more than {} marks".format(_MAX_MARKS))
        self._report.send("marked", name=name, value=value)

    def _add_test(self, test: str, environment: "dict[str, str]") -> None:
        self._added += 1
        if self._added > _MAX_ADDED:
            raise GrammarError("more than {} tests added".format(_MAX_ADDED))
        self._report.send("test-added", number=self._added, test=test, environment=environment)

    def _sync(self, door: Door, token: str) -> None:
        if not door.can_reply:
            raise GrammarError("'sync' needs the socket, the pipe can not reply")
        reply = "ok {}".format(token) if token else "ok"
        self.doors.promise(door, reply)
        # Those that come behind one another share a frame.
        last = self._syncs[-1][0] if self._syncs else 0
        frame = last if self._report.is_last(last) else self._report.send("sync")
        self._syncs.append((frame, door, reply))

    def acknowledged(self, frame: int) -> None:
        """The host has applied all frames up to this one."""
        while self._syncs and self._syncs[0][0] <= frame:
            _, door, reply = self._syncs.popleft()
            self.doors.reply(door, reply)
        if self._restart_frame is not None and self._restart_frame <= frame:
            self._restart_noted = True
            self.doors.shut()

    @property
    def awaited(self) -> "float | None":
        """Seconds that the machine has to come back from a restart whose announcement is noted, else None."""
        if not self._restart_noted:
            return None
        return self._lifetime.left if self._patience is None else self._patience

    # The end of a door -----------------------------------------------------------------------------------

    def door_failed(self, reason: str) -> None:
        self.error = self.error or reason

    def cut_short(self, what: str) -> None:
        self._report.send("noted", note="{} was cut short by the end".format(what))
