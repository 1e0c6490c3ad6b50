"""One run: a script in a session of its own, its doors, its output, and what of them goes to the host."""

import contextlib
import os
import re

from . import leader, processes
from .clock import now
from .control import Door
from .doors import Doors, DoorsListener
from .durations import parse_duration
from .files import Files, cuts_by_frame
from .framing import MAX_CHUNK
from .kernel import OomProtection
from .lifetime import Lifetime
from .loop import READ, Loop
from .outbox import Outbox
from .paths import clear
from .pipes import bytes_waiting, new_pipe
from .results import GrammarError
from .spawn import SpawnError, Tether, spawn

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_EXIT_CODE = re.compile(r"[0-9]{1,3}\Z")


class Run(DoorsListener):
    """A run that goes on. `on_end(run)` is called once its last frame is in the outbox.

    The constructor starts it. Raises SpawnError where that fails; then nothing is left of it.
    """

    def __init__(
        self,
        loop: Loop,
        outbox: Outbox,
        folder: str,
        number: int,
        order: "dict[str, Any]",
        environment: "dict[str, str]",
        oom_protection: OomProtection,
        sees_all: bool,
        on_end: "Callable[[Run], None]",
    ) -> None:
        self.number = number
        self.test = order.get("test", "")
        self._loop = loop
        self._outbox = outbox
        self._folder = folder
        self._on_end = on_end
        self._files = Files()
        self._lines: "list[bytes]" = []  # results read, not yet in a frame
        self._line_count = 0
        self._results = 0  # sent in frames
        self._output_length = 0
        self._exit_code: "int | None" = None  # what `exitcode` asked for
        self._error: "str | None" = None  # the first reason why a door was closed
        self._paused = False
        started = now()
        try:
            with contextlib.ExitStack() as undo:
                pid = self._start(order, dict(environment), undo)
                undo.pop_all()
        except (OSError, ValueError) as error:  # ValueError: text that can not be written as UTF-8
            raise SpawnError("the run could not be prepared: {}".format(error))
        oom_protection.lift(pid)
        self._loop.watch(self._output, READ, self._read_output)
        self._lifetime = Lifetime(
            loop, pid, started, order["limit"], order["grace"], sees_all, self._finish
        )
        self._send({"kind": "started", "run": number, "pid": pid})

    def _start(
        self, order: "dict[str, Any]", environment: "dict[str, str]", undo: contextlib.ExitStack
    ) -> int:
        """Open what the process needs, start it, return its pid; `undo` learns what to take back."""
        control = os.path.join(self._folder, "control")
        environment.update(order.get("defaults", {}))
        environment.update(order["environment"])
        environment.update({"ATEX_CONTROL_FILE": control, "ATEX_TEST_CONTROL": "3"})
        argv = ["/bin/bash", self._write_script(order["script"])]
        self._doors = Doors(self._loop, self, control)
        undo.callback(self._doors.shut)
        self._output, write_end = new_pipe()
        undo.callback(os.close, self._output)
        self._tether = Tether()
        undo.callback(self._tether.cut)
        try:
            pid = spawn(
                argv, order["folder"], environment, write_end, self._doors.pipe, self._tether
            )
        finally:
            os.close(write_end)
        undo.callback(processes.end_leader, pid)
        leader.remember(self._folder, pid)
        self._doors.close_pipe()
        return pid

    def _write_script(self, script: str) -> str:
        path = os.path.join(self._folder, "script")
        clear(path)  # a shell that outlived its run still reads the old file
        with open(path, "wb") as file:
            file.write(script.encode("utf-8", "surrogateescape"))
        return path

    @property
    def leader(self) -> int:
        """The pid that names the run's session."""
        return self._lifetime.leader

    @property
    def killing(self) -> bool:
        return self._lifetime.killing

    @property
    def left_behind(self) -> int:
        """How many processes could not be killed."""
        return self._lifetime.left_behind

    # While it runs ---------------------------------------------------------------------------------------

    def pause(self) -> None:
        """The host is behind: read neither doors nor output, so that the test has to wait."""
        if not self._paused:
            self._paused = True
            self._doors.pause()
            self._loop.forget(self._output)

    def resume(self) -> None:
        """Read on after `pause()`."""
        if self._paused:
            self._paused = False
            self._doors.resume()
            self._loop.watch(self._output, READ, self._read_output)

    def cancel(self, grace: "float | None", why: str = "cancel") -> None:
        """End the run: SIGINT, and SIGKILL after `grace` seconds (None: those of its limit)."""
        self._lifetime.cancel(grace, why)

    def leader_has_ended(self, exit_code: "int | None", number: "int | None") -> None:
        """The leader has ended by itself or by a signal, and is not reaped. Told again, it does nothing."""
        self._lifetime.leader_has_ended(exit_code, number)

    def _read_output(self, mask: int) -> int:
        try:
            data = os.read(self._output, MAX_CHUNK)
        except BlockingIOError:
            return 0
        if data:
            self._send({"kind": "output", "run": self.number, "offset": self._output_length}, data)
            self._output_length += len(data)
        else:
            self._loop.forget(self._output)  # everybody has closed it; the run goes on
        return len(data)

    # What comes through the doors ------------------------------------------------------------------------

    def results(self, lines: bytes, count: int) -> None:
        self._lines.append(lines)
        self._line_count += count

    def flush(self) -> None:
        if self._line_count:
            head = {"kind": "results", "run": self.number, "first": self._results + 1}
            self._outbox.add(head, b"".join(self._lines))
            self._results += self._line_count
            self._lines.clear()
            self._line_count = 0

    def claim(self, door: Door, name: str, files: "list[str]") -> bool:
        return self._files.claim(door, name, files)

    def file(self, name: str, file: str, data: bytes) -> None:
        offset = self._files.grow(name, file, len(data))
        head = {"kind": "file", "run": self.number, "name": name, "file": file, "offset": offset}
        self._send(head, data)

    def release(self, door: Door, commit: bool) -> None:
        if commit:
            self._files.commit(door)
        else:
            for cuts in cuts_by_frame(self._files.cut_back(door)):
                note = "an unfinished result"
                self._send({"kind": "dropped", "run": self.number, "cuts": cuts, "note": note})
        self._doors.released()

    def word(self, word: str, argument: str) -> None:
        if word == "noop":
            return
        if word == "duration":
            self._change_duration(argument)
        elif word == "exitcode":
            if not _EXIT_CODE.match(argument) or int(argument) > 255:
                raise GrammarError(
                    "'exitcode' needs a number from 0 to 255, not {!r}".format(argument[:80])
                )
            self._exit_code = int(argument)
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
        self._error = self._error or reason

    def cut_short(self, what: str) -> None:
        note = "{} was cut short by the end".format(what)
        self._send({"kind": "noted", "run": self.number, "note": note})

    def _send(self, head: "dict[str, Any]", tail: bytes = b"") -> None:
        self.flush()  # what came before goes before
        self._outbox.add(head, tail)

    # The end ---------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Nothing lives any more: read what is left, then say how it ended."""
        self._loop.forget(self._output)
        waiting = bytes_waiting(self._output)
        while waiting > 0:
            waiting -= self._read_output(READ) or waiting
        os.close(self._output)
        self._doors.shut()
        self._tether.cut()
        life = self._lifetime
        exited = {
            "kind": "exited",
            "run": self.number,
            "exit_code": life.exit_code if self._exit_code is None else self._exit_code,
            "signal": life.signal,
            "ended_by": life.ended_by,
            "seconds": life.ended - life.started,
            "limit": life.limit,
            "error": self._error,
            "left_behind": life.left_behind,
        }
        self._send(exited)
        if not life.left_behind:
            leader.forget(self._folder)
        self._on_end(self)
