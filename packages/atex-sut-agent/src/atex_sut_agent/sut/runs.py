"""The runs of a session, one at a time."""

import sys

from . import leader, machine, processes
from .kernel import OomProtection, become_subreaper
from .loop import Loop
from .outbox import Outbox
from .run import Run
from .slot import Slot
from .spawn import SpawnError
from .surroundings import Surroundings

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Runs:
    """Starts runs, and knows of each until its end is acknowledged. `on_end()` is called after each one."""

    def __init__(
        self,
        loop: Loop,
        outbox: Outbox,
        slot: Slot,
        folder: str,
        archive: str,
        on_end: "Callable[[], None]",
    ) -> None:
        self.current: "Run | None" = None
        self.closed = False  # no other one is started
        self._loop = loop
        self._outbox = outbox
        self._slot = slot
        self._folder = folder
        self._on_end = on_end
        self._key = ""  # by which a host knows the current one again
        self._ended: "tuple[int, str, int]" = (
            0,
            "",
            0,
        )  # number, key and last frame of the one before
        self._lengths: "list[dict[str, Any]]" = []  # of files that the next one has sent already
        left = leader.recall(folder)[0]
        # {pid: start} of what an earlier one left and could not be killed
        self._left = processes.starts_of(processes.session_members(left)) if left else {}
        environment = machine.base_environment()
        self._surroundings = Surroundings(folder, archive, sys.executable, environment)
        self._sees_all = become_subreaper()
        self._oom_protection = OomProtection()

    def continue_files(self, lengths: "list[dict[str, Any]]") -> None:
        """The run that is started next has sent these files already."""
        self._lengths += lengths

    def start(self, number: int, order: "dict[str, Any]") -> None:
        """Carry out a `start`, or tell the host why that can not be."""
        key = str(order.get("key", ""))
        lengths, self._lengths = self._lengths, []
        try:
            self._refuse_if_not_free()
            run = Run(
                self._loop,
                self._outbox,
                self._folder,
                number,
                order,
                lengths,
                self._surroundings,
                self._oom_protection,
                self._sees_all,
                self._run_ended,
            )
        except SpawnError as error:
            frame = self._outbox.add({"kind": "failed", "run": number, "reason": str(error)})
            if self.current is None:
                self._ended = number, key, frame
            return
        self.current = run
        self._key = key
        self._slot.tell(str(order.get("test", "")), run.identity)

    def acknowledged(self, frame: int) -> None:
        """The host has applied all frames up to this one."""
        if self.current is not None:
            self.current.acknowledged(frame)
            if self.current.awaited is not None:
                self._slot.reserve(self.current.awaited)

    def numbered(self, number: int) -> "Run | None":
        """Return the run with this number, if that is the current one."""
        return self.current if self.current is not None and self.current.number == number else None

    def untold(self) -> "tuple[int | None, str]":
        """Return number and key of the run that goes on, or whose end no host has acknowledged."""
        if self.current is not None:
            return self.current.number, self._key
        number, key, frame = self._ended
        return (number, key) if frame > self._outbox.acknowledged else (None, "")

    def mind_the_outbox(self) -> None:
        """Let the test wait while there is no room, at its own expense where a host takes what it gets."""
        if self.current is not None:
            if self._outbox.full:
                self.current.pause(clock_too=self._outbox.spooling)
            else:
                self.current.resume()

    def _refuse_if_not_free(self) -> None:
        """Raise SpawnError where no run may start now."""
        if self.current is not None:
            raise SpawnError("run {} is still going on".format(self.current.number))
        if self.closed:
            raise SpawnError("the session is ending")
        if processes.any_lives(self._left):
            raise SpawnError("processes of an earlier run are still alive and can not be killed")

    def _run_ended(self, run: Run) -> None:
        self.current = None
        self._ended = run.number, self._key, self._outbox.next_number - 1
        self._left = run.left_behind
        self._on_end()
