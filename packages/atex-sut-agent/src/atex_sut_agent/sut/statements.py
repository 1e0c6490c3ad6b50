"""What a test says through the doors of its control file, and what comes of it."""

import re

from .control import Door
from .doors import Doors, DoorsListener
from .durations import parse_duration
from .files import Files, cuts_by_frame
from .lifetime import Lifetime
from .loop import Loop
from .report import Report
from .results import GrammarError

_EXIT_CODE = re.compile(r"[0-9]{1,3}\Z")


class Statements(DoorsListener):
    """The doors of one run at `path`, open from the construction until `shut()`. Raises OSError.

    `test` is the test's name, by which names of results are shortened.
    """

    def __init__(
        self, loop: Loop, path: str, test: str, report: Report, lifetime: Lifetime
    ) -> None:
        self.test = test
        self.exit_code: "int | None" = None  # what `exitcode` asked for
        self.error: "str | None" = None  # the first reason why a door was closed
        self._report = report
        self._lifetime = lifetime
        self._files = Files()
        self.doors = Doors(loop, self, path)

    @property
    def breaking_off(self) -> bool:
        return self._lifetime.killing

    def results(self, lines: bytes, count: int) -> None:
        self._report.results(lines, count)

    def flush(self) -> None:
        self._report.flush()

    def claim(self, door: Door, name: str, files: "list[str]") -> bool:
        return self._files.claim(door, name, files)

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

    def word(self, door: Door, word: str, argument: str) -> None:
        if word == "noop":
            return
        if word == "duration":
            self._change_duration(argument)
        elif word == "exitcode":
            if not _EXIT_CODE.match(argument) or int(argument) > 255:
                raise GrammarError(
                    "'exitcode' needs a number from 0 to 255, not {!r}".format(argument[:80])
                )
            self.exit_code = int(argument)
        else:
            raise GrammarError("unknown word {!r}".format(word[:80]))

    def _change_duration(self, argument: str) -> None:
        sign = argument[:1]
        try:
            seconds = parse_duration(argument[1:] if sign in ("+", "-") else argument)
        except ValueError as error:
            raise GrammarError(str(error))
        if sign in ("+", "-"):
            self._lifetime.move_limit(seconds if sign == "+" else -seconds)
        else:
            self._lifetime.set_limit(seconds)

    def door_failed(self, reason: str) -> None:
        self.error = self.error or reason

    def cut_short(self, what: str) -> None:
        self._report.send("noted", note="{} was cut short by the end".format(what))
