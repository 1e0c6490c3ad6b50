"""One run: a process in a session of its own, its clock, its doors, its output, and its end."""

import os
import signal

from . import leader, processes
from .clock import Limit, now
from .control import Door, Listener
from .doors import Doors, bytes_waiting, new_pipe
from .durations import parse_duration
from .files import Files
from .framing import MAX_CHUNK
from .loop import READ, Loop, Timer
from .outbox import Outbox
from .results import GrammarError
from .spawn import SpawnError, spawn

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_SHUTDOWN_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
_SHUTDOWN_PATIENCE = 2.0  # seconds; a machine that goes down kills the test before its network
_KILL_PATIENCE = 5.0  # seconds until a process that SIGKILL does not end is given up
_SWEEP_INTERVAL = 0.005  # seconds


class Run(Listener):
    """One run from its order to its last frame. `on_end(run)` is called once that frame is in the outbox."""

    def __init__(
        self,
        loop: Loop,
        outbox: Outbox,
        folder: str,
        number: int,
        order: "dict[str, Any]",
        base_environment: "dict[str, str]",
        is_subreaper: bool,
        on_end: "Callable[[Run], None]",
    ) -> None:
        self.number = number
        self.test = order.get("test", "")
        self.grace = order["grace"]  # seconds between SIGINT and SIGKILL when the limit has passed
        self.left_behind = 0  # processes that could not be killed
        self.killing = False  # the agent has begun to send signals: what stays unfinished is not the test's fault
        self._loop = loop
        self._outbox = outbox
        self._folder = folder
        self._order = order
        self._base_environment = base_environment
        self._is_subreaper = is_subreaper
        self._on_end = on_end
        self._files = Files()
        self._lines: "list[bytes]" = []  # results read, not yet in a frame
        self._line_count = 0
        self._results = 0  # sent in frames
        self._output_length = 0
        self._exit_code: "int | None" = None  # what `exitcode` asked for
        self._error: "str | None" = None  # the first reason why a door was closed
        self._ended_by = "itself"
        self._timer: "Timer | None" = None
        self.leader: "int | None" = None  # pid
        self._exit: "tuple[int | None, int | None] | None" = (
            None  # (exit code or None, signal or None) of the leader
        )
        self._over = False
        self._paused = False

    # Starting --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process. Where that fails, the run is over with a frame `failed`."""
        try:
            self._doors = Doors(self._loop, self, os.path.join(self._folder, "control"))
        except OSError as error:
            self._fail("no control file: {}".format(error.strerror))
            return
        output, write_end = new_pipe()
        try:
            self.leader = spawn(
                ["/bin/bash", self._write_script()],
                self._order["folder"],
                self._environment(),
                write_end,
                self._doors.pipe,
            )
        except (SpawnError, OSError) as error:
            os.close(output)
            self._doors.close()
            self._fail(str(error))
            return
        finally:
            os.close(write_end)
        self._doors.close_pipe()
        self._output = output
        self._loop.watch(output, READ, self._read_output)
        self._limit = Limit(now(), self._order["limit"])
        self._started = self._limit.started
        self._arm_limit()
        leader.remember(self._folder, self.leader)
        self._send({"kind": "started", "run": self.number, "pid": self.leader})

    def _write_script(self) -> str:
        path = os.path.join(self._folder, "script")
        try:
            os.unlink(path)  # a shell that outlived its run still reads the old file
        except FileNotFoundError:
            pass
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(self._order["script"])
        return path

    def _environment(self) -> "dict[str, str]":
        environment = dict(self._base_environment)
        environment.update(self._order["environment"])
        environment["ATEX_CONTROL_FILE"] = os.path.join(self._folder, "control")
        environment["ATEX_TEST_CONTROL"] = "3"
        return environment

    def _fail(self, reason: str) -> None:
        self._over = True
        self._send({"kind": "failed", "run": self.number, "reason": reason})
        self._on_end(self)

    # While it runs ---------------------------------------------------------------------------------------

    def pause(self) -> None:
        """The host is behind: read neither doors nor output, so that the test has to wait."""
        if not self._paused and not self._over:
            self._paused = True
            self._doors.pause()
            self._loop.forget(self._output)

    def resume(self) -> None:
        """Read on after `pause()`."""
        if self._paused and not self._over:
            self._paused = False
            self._doors.resume()
            self._loop.watch(self._output, READ, self._read_output)

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
            cuts = [
                {"name": name, "file": file, "length": length}
                for name, file, length in self._files.cut_back(door)
            ]
            self._send(
                {
                    "kind": "dropped",
                    "run": self.number,
                    "cuts": cuts,
                    "note": "an unfinished result",
                }
            )
        self._doors.released()

    def word(self, word: str, argument: str) -> None:
        if word == "noop":
            return
        if word == "duration":
            self._change_duration(argument)
        elif word == "exitcode":
            self._exit_code = _exit_code(argument)
        else:
            raise GrammarError("unknown word {!r}".format(word[:80]))

    def _change_duration(self, argument: str) -> None:
        sign = argument[:1]
        try:
            seconds = parse_duration(argument[1:] if sign in ("+", "-") else argument)
        except ValueError as error:
            raise GrammarError(str(error))
        if self.killing:
            return  # the time was up, it is not given back
        if sign in ("+", "-"):
            self._limit.move(seconds if sign == "+" else -seconds)
        else:
            self._limit.set(seconds, now())
        self._arm_limit()

    def door_failed(self, reason: str) -> None:
        self._error = self._error or reason

    def cut_short(self, what: str) -> None:
        self._send(
            {
                "kind": "noted",
                "run": self.number,
                "note": "{} was cut short by the end".format(what),
            }
        )

    def _send(self, head: "dict[str, Any]", tail: bytes = b"") -> None:
        self.flush()
        self._outbox.add(head, tail)

    # The end ---------------------------------------------------------------------------------------------

    def cancel(self, grace: float, why: str = "cancel") -> None:
        """End the run: SIGINT, and SIGKILL after `grace` seconds. A second time it only becomes sooner."""
        if self._over or self._exit is not None:
            return
        if not self.killing:
            self._ended_by = why
            self._interrupt(grace)
        else:
            self._arm(min(grace, max(0.0, self._timer.when - now())), self._kill)

    def leader_ended(self, exit_code: "int | None", number: "int | None") -> None:
        """The leader has ended and is not reaped yet: the run begins to end. Told again, it does nothing."""
        if self._exit is None:
            self._exit = (exit_code, number)
            self._ended = now()
            if number in _SHUTDOWN_SIGNALS and not self.killing:
                self._arm(_SHUTDOWN_PATIENCE, self._sweep_session)
            else:
                self._sweep_session()

    def _arm(self, seconds: float, callback: "Callable[[], None]") -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.after(max(0.0, seconds), callback)

    def _arm_limit(self) -> None:
        self._arm(self._limit.deadline - now(), self._limit_passed)

    def _limit_passed(self) -> None:
        self._ended_by = "limit"
        self._interrupt(self.grace)

    def _interrupt(self, grace: float) -> None:
        self.killing = True
        self._arm(grace, self._kill)
        if grace > 0:
            processes.signal_session(self.leader, signal.SIGINT)

    def _kill(self) -> None:
        processes.signal_session(self.leader, signal.SIGKILL)
        self._arm(_KILL_PATIENCE, self._give_up)

    def _give_up(self) -> None:
        """SIGKILL did not end the leader: it hangs in the kernel."""
        self._exit = (None, None)
        self._ended = now()
        self.left_behind = 1
        self._finish()

    def _sweep_session(self) -> None:
        """Kill what is left of the session, and come back until nothing is."""
        # Kill before the leader is reaped: until then its pid, which names the session, is nobody else's.
        # As subreaper we are the parent of all that is left, so having no child answers without a look at /proc.
        self.left_behind = 0
        if not self._is_subreaper or processes.has_living_children():
            self.left_behind = processes.kill_session(self.leader)
        if not self.left_behind or now() - self._ended > _SHUTDOWN_PATIENCE + _KILL_PATIENCE:
            os.waitpid(self.leader, 0)
            self._finish()
        else:
            self.killing = True
            self._arm(_SWEEP_INTERVAL, self._sweep_session)

    def _finish(self) -> None:
        self._timer.cancel()
        if self._paused:
            self.resume()
        waiting = bytes_waiting(self._output)
        while waiting > 0:
            waiting -= self._read_output(READ) or waiting
        self._loop.forget(self._output)
        os.close(self._output)
        self._doors.drain()
        self._doors.close()
        self._over = True
        exit_code, number = self._exit
        exited = {
            "kind": "exited",
            "run": self.number,
            "exit_code": exit_code if self._exit_code is None else self._exit_code,
            "signal": number,
            "ended_by": self._ended_by,
            "seconds": self._ended - self._started,
            "limit": self._limit.limit,
            "error": self._error,
            "left_behind": self.left_behind,
        }
        self._send(exited)
        self._on_end(self)


def _exit_code(argument: str) -> int:
    if not argument.isdigit() or len(argument) > 3 or int(argument) > 255:
        raise GrammarError(
            "'exitcode' needs a number from 0 to 255, not {!r}".format(argument[:80])
        )
    return int(argument)
