"""One run: a script in a session of its own, its doors, its output, and what of them goes to the host."""

import contextlib
import os

from . import leader, processes
from .clock import Limit, now
from .collection import Collection
from .kernel import OomProtection
from .lifetime import Lifetime
from .loop import READ, Loop
from .outbox import Outbox
from .output import OutputPipe, Terminal
from .paths import clear
from .report import Report
from .spawn import SpawnError, Tether, spawn
from .statements import Statements
from .surroundings import Surroundings

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_COLLECTION_AFTER_CANCEL = 5.0  # seconds


class Run:
    """A run that goes on. `on_end(run)` is called once its last frame is in the outbox.

    The constructor starts it, for the first time or again: `lengths` are those of the files that it has sent already.
    Raises SpawnError where that fails; then nothing is left of it.
    """

    def __init__(
        self,
        loop: Loop,
        outbox: Outbox,
        folder: str,
        number: int,
        order: "dict[str, Any]",
        lengths: "list[dict[str, Any]]",
        surroundings: Surroundings,
        oom_protection: OomProtection,
        sees_all: bool,
        on_end: "Callable[[Run], None]",
    ) -> None:
        self.number = number
        self._loop = loop
        self._folder = folder
        self._on_end = on_end
        self._paused = False
        self._surroundings = surroundings
        self._grace: float = order["grace"]
        self._is_test = bool(order.get("test"))
        self._is_again = bool(order.get("again"))
        self._drained = False  # nothing comes through output and doors any more
        self._collection: "Collection | None" = None
        self._still_since: "float | None" = None  # the clock has been standing still
        # Where it was before it was started again, or where every run begins.
        again = order.get("again") or {"clock": {"used": 0.0, "limit": order["limit"]}}
        self._report = Report(outbox, number, again.get("results", 0), again.get("output", 0))
        limit = Limit.continued(again["clock"], now())
        self._lifetime = Lifetime(loop, limit, self._grace, sees_all, self._finish)
        try:
            with contextlib.ExitStack() as undo:
                environment, remark = surroundings.make(order)
                pid = self._start(order, environment, undo)
                self._statements.continue_with(lengths, again.get("added", 0))
                undo.pop_all()
        except (OSError, ValueError) as error:  # ValueError: text that can not be written as UTF-8
            raise SpawnError("the run could not be prepared: {}".format(error))
        oom_protection.lift(pid)
        self._loop.watch(self._output.reader, READ, self._read_output)
        self._lifetime.begin(pid)
        self._report.send("started", pid=pid)
        if remark:
            self._remark(remark)

    def _start(
        self, order: "dict[str, Any]", environment: "dict[str, str]", undo: contextlib.ExitStack
    ) -> int:
        """Open what the process needs, start it, return its pid; `undo` learns what to take back."""
        argv = ["/bin/bash", self._write_script(order["script"])]
        control = environment["ATEX_CONTROL_FILE"]
        self._statements = Statements(
            self._loop, control, order.get("test", ""), self._report, self._lifetime
        )
        doors = self._statements.doors
        undo.callback(doors.shut)
        self._output = Terminal() if order.get("tty") else OutputPipe()
        undo.callback(self._output.close)
        self._tether = Tether()
        undo.callback(self._tether.cut)
        pid = spawn(
            self._output.command(argv),
            order["folder"],
            environment,
            self._output.writer,
            doors.pipe,
            self._tether,
        )
        undo.callback(processes.end_leader, pid)
        self.identity = leader.identify(pid)  # of its leader
        leader.remember(self._folder, self.identity)
        self._output.handed_over()
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
    def left_behind(self) -> "dict[int, int]":
        """What could not be killed: {pid: start}."""
        return self._lifetime.left_behind

    @property
    def collecting(self) -> bool:
        """Is all of it dead, and only its files are still to be sent?"""
        return self._collection is not None

    # While it runs ---------------------------------------------------------------------------------------

    @property
    def time_left(self) -> float:
        """Seconds until its limit and its grace have passed, below 0 where they have."""
        return self._lifetime.left

    def pause(self, clock_too: bool) -> None:
        """The host is behind: read neither doors nor output, so that the test has to wait.

        With `clock_too` its clock stands still meanwhile. Called again, only that may change.
        """
        if not self._paused:
            self._paused = True
            if self._collection is not None:
                self._collection.pause()
            elif not self._drained:
                self._statements.doors.pause()
                self._loop.forget(self._output.reader)
        if clock_too:
            self._stop_clock()
        else:
            self._start_clock()

    def resume(self) -> None:
        """Read on after `pause()`."""
        if self._paused:
            self._paused = False
            if self._collection is not None:
                self._collection.resume()
            elif not self._drained:
                self._statements.doors.resume()
                self._loop.watch(self._output.reader, READ, self._read_output)
            self._start_clock()

    def _stop_clock(self) -> None:
        if self._still_since is None:
            self._still_since = now()
            self._lifetime.stop_clock()

    def _start_clock(self) -> None:
        if self._still_since is not None:
            seconds = now() - self._still_since
            self._still_since = None
            self._lifetime.start_clock()
            note = "for {:.1f} s no host took anything: the test had to wait, and its clock stood still"
            self._report.send("noted", note=note.format(seconds))

    @property
    def awaited(self) -> "float | None":
        """Seconds that the machine has to come back from the restart that the run has announced; None: from none."""
        return self._statements.awaited

    def acknowledged(self, frame: int) -> None:
        """The host has applied all frames up to this one."""
        self._statements.acknowledged(frame)

    def cancel(self, grace: "float | None", why: str = "cancel") -> None:
        """End the run: SIGINT, and SIGKILL after `grace` seconds (None: those of its limit)."""
        self._lifetime.cancel(grace, why)
        if self._collection is not None:
            self._collection.end_within(grace or 0.0)

    def hang_up(self, grace: float) -> None:
        """End what is left of a run that announced a restart: SIGHUP, and SIGKILL after `grace` seconds."""
        self._lifetime.hang_up(grace)

    def leader_has_ended(self, exit_code: "int | None", number: "int | None") -> None:
        """The leader has ended by itself or by a signal, and is not reaped. Told again, it does nothing."""
        self._lifetime.leader_has_ended(exit_code, number)

    def _read_output(self, mask: int) -> int:
        data = self._output.read()
        if data is None:
            return 0
        if data:
            self._report.output(data)
        else:
            self._loop.forget(self._output.reader)  # everybody has closed it; the run goes on
        return len(data)

    def _remark(self, note: str) -> None:
        self._report.send("noted", note=note)

    # The end ---------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Nothing lives any more: read what is left, then say how it ended."""
        self._start_clock()
        self._drain()
        self._tether.cut()
        self._lifetime.finish(self._collect)

    def _collect(self) -> None:
        """Nothing writes to the test's folder any more: send what it has left there."""
        if not self._is_test or self._lifetime.ended_by == "restart":
            self._say_exited()
            return
        self._collection = Collection(
            self._loop,
            self._statements,
            self._surroundings.data,
            self._statements.sent if self._is_again else _nothing_sent,
            self._remark,
            self._say_exited,
        )
        if self._lifetime.ended_by in ("cancel", "linger", "abort"):
            self._collection.end_within(_COLLECTION_AFTER_CANCEL)
        elif self._lifetime.ended_by == "limit":
            seconds = max(self._grace, _COLLECTION_AFTER_CANCEL)
            self._collection.end_within(seconds, "its time was up")
        if self._paused:
            self._collection.pause()
        self._collection.begin()

    def _say_exited(self) -> None:
        life, said = self._lifetime, self._statements
        self._report.send(
            "exited",
            exit_code=life.exit_code if said.exit_code is None else said.exit_code,
            signal=life.signal,
            ended_by=life.ended_by,
            seconds=life.ended - life.started,
            limit=life.limit.limit,
            note=said.abort_note,
            error=said.error,
            left_behind=len(life.left_behind),
        )
        if not life.left_behind:
            leader.forget(self._folder)
        self._on_end(self)

    def _drain(self) -> None:
        """Take what is in the output and in the doors at this moment, and close them."""
        self._loop.forget(self._output.reader)
        waiting = self._output.backlog()
        while waiting > 0:
            waiting -= self._read_output(READ) or waiting
        self._output.close()
        self._statements.doors.shut()
        self._drained = True


def _nothing_sent(file: str) -> int:
    return 0
