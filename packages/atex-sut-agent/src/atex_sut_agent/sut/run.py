"""One run: a script in a session of its own, its doors, its output, and what of them goes to the host."""

import contextlib
import os

from . import leader, processes
from .framing import MAX_CHUNK
from .kernel import OomProtection
from .lifetime import Lifetime
from .loop import READ, Loop
from .outbox import Outbox
from .paths import clear
from .pipes import bytes_waiting, new_pipe
from .report import Report
from .spawn import SpawnError, Tether, spawn
from .statements import Statements

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Run:
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
        self._loop = loop
        self._folder = folder
        self._on_end = on_end
        self._paused = False
        self._report = Report(outbox, number)
        self._lifetime = Lifetime(loop, order["limit"], order["grace"], sees_all, self._finish)
        try:
            with contextlib.ExitStack() as undo:
                pid = self._start(order, dict(environment), undo)
                undo.pop_all()
        except (OSError, ValueError) as error:  # ValueError: text that can not be written as UTF-8
            raise SpawnError("the run could not be prepared: {}".format(error))
        oom_protection.lift(pid)
        self._loop.watch(self._output, READ, self._read_output)
        self._lifetime.begin(pid)
        self._report.send("started", pid=pid)

    def _start(
        self, order: "dict[str, Any]", environment: "dict[str, str]", undo: contextlib.ExitStack
    ) -> int:
        """Open what the process needs, start it, return its pid; `undo` learns what to take back."""
        control = os.path.join(self._folder, "control")
        environment.update(order.get("defaults", {}))
        environment.update(order["environment"])
        environment.update({"ATEX_CONTROL_FILE": control, "ATEX_TEST_CONTROL": "3"})
        argv = ["/bin/bash", self._write_script(order["script"])]
        self._statements = Statements(
            self._loop, control, order.get("test", ""), self._report, self._lifetime
        )
        doors = self._statements.doors
        undo.callback(doors.shut)
        self._output, write_end = new_pipe()
        undo.callback(os.close, self._output)
        self._tether = Tether()
        undo.callback(self._tether.cut)
        try:
            pid = spawn(argv, order["folder"], environment, write_end, doors.pipe, self._tether)
        finally:
            os.close(write_end)
        undo.callback(processes.end_leader, pid)
        leader.remember(self._folder, pid)
        doors.close_pipe()
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
    def left_behind(self) -> int:
        """How many processes could not be killed."""
        return self._lifetime.left_behind

    # While it runs ---------------------------------------------------------------------------------------

    def pause(self) -> None:
        """The host is behind: read neither doors nor output, so that the test has to wait."""
        if not self._paused:
            self._paused = True
            self._statements.doors.pause()
            self._loop.forget(self._output)

    def resume(self) -> None:
        """Read on after `pause()`."""
        if self._paused:
            self._paused = False
            self._statements.doors.resume()
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
            self._report.output(data)
        else:
            self._loop.forget(self._output)  # everybody has closed it; the run goes on
        return len(data)

    # The end ---------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Nothing lives any more: read what is left, then say how it ended."""
        self._drain()
        self._tether.cut()
        life = self._lifetime
        asked = self._statements.exit_code
        self._report.send(
            "exited",
            exit_code=life.exit_code if asked is None else asked,
            signal=life.signal,
            ended_by=life.ended_by,
            seconds=life.ended - life.started,
            limit=life.limit,
            error=self._statements.error,
            left_behind=life.left_behind,
        )
        if not life.left_behind:
            leader.forget(self._folder)
        self._on_end(self)

    def _drain(self) -> None:
        """Take what is in the output and in the doors at this moment, and close them."""
        self._loop.forget(self._output)
        waiting = bytes_waiting(self._output)
        while waiting > 0:
            waiting -= self._read_output(READ) or waiting
        os.close(self._output)
        self._statements.doors.shut()
