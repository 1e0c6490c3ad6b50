"""The session: a daemon that outlives the connections of its host. Orders in, facts out, one loop.

It has one run at a time, and one attachment or none. It ends when it is told to, or after an hour without a
host. Single-threaded; nothing here blocks, but for the start of a process and the removal of the folder.
"""

import json
import os
import shutil
import signal
import socket
import sys
import time

from . import handover, last_words, leader, machine, processes
from .attachment import Attachment
from .framing import PROTOCOL, FrameError
from .kernel import OomProtection, become_subreaper
from .loop import READ, Loop
from .outbox import Outbox
from .run import Run
from .settings import Settings
from .spawn import SpawnError, prepare_to_spawn
from .surroundings import Surroundings

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from typing import Any

_REMOVAL_PATIENCE = 2.0  # seconds
_EARLIER_PATIENCE = 5.0  # seconds for what an earlier incarnation left to die


class Daemon:
    """One session. `folder` is its own, `listener` the socket at which bridges hand over their descriptors."""

    def __init__(
        self, session: str, folder: str, archive: str, settings: Settings, listener: socket.socket
    ) -> None:
        self._session = session
        self._folder = folder
        self._archive = archive
        self._settings = settings
        self._listener = listener
        self._incarnation = os.urandom(16).hex()
        self._loop = Loop()
        self._outbox = Outbox(settings.memory)
        self._attachment: "Attachment | None" = None
        self._order = 0  # the highest number of an order that was taken
        self._run: "Run | None" = None
        self._lengths: "list[dict[str, Any]]" = []  # of files that the next run has sent already
        self._key = ""  # by which its host knows the run again
        self._ended: "tuple[int, str, int] | None" = (
            None  # number and key of a run, and its last frame
        )
        self._left: "dict[int, int]" = {}  # {pid: start} of what a run left and could not be killed
        self._surroundings = Surroundings(
            folder, archive, sys.executable, machine.base_environment()
        )
        self._sees_all = become_subreaper()
        self._oom_protection = OomProtection()
        self._linger = self._loop.after(settings.linger, self._lingered)
        self._ending: "str | None" = None  # why the session ends
        self._parting = False  # nobody is let in any more
        self._going_down = False
        self._over = False
        self._last_words = self._end_earlier_incarnation()

    def serve(self) -> None:
        """Run until the session is over; then its folder is gone. Whatever it raises, call `abandon()`."""
        prepare_to_spawn()
        self._catch_signals()
        self._listener.setblocking(False)
        self._loop.watch(self._listener.fileno(), READ, self._accept)
        while not self._over:
            self._loop.turn()
            if self._run is not None:
                if self._outbox.full:
                    self._run.pause(clock_too=self._attachment is None)
                else:
                    self._run.resume()
            if self._attachment is not None:
                self._attachment.flush()

    def abandon(self) -> None:
        """End at once: no test goes on where nobody watches it."""
        if self._run is not None:
            processes.signal_session(self._run.leader, signal.SIGKILL)

    def _end_earlier_incarnation(self) -> str:
        """Kill what an earlier daemon of this session left; return in words how that one ended."""
        left, words = leader.recall(self._folder)
        deadline = time.monotonic() + _EARLIER_PATIENCE
        while left is not None:
            found = processes.kill_session(left)
            if not found or time.monotonic() > deadline:
                self._left = processes.starts_of(found)
                break
            time.sleep(0.005)
        words = last_words.read(self._folder) or words
        leader.forget(self._folder)
        last_words.forget(self._folder)
        return words

    # Signals ---------------------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        # Never SIG_IGN, which a test would inherit: a handler it does not.
        for number in (
            signal.SIGINT,
            signal.SIGHUP,
            signal.SIGTSTP,
            signal.SIGTTOU,
            signal.SIGCHLD,
        ):
            signal.signal(number, _wake_up)
        signal.signal(signal.SIGTERM, _wake_up)
        signal.set_wakeup_fd(writer)
        self._loop.watch(reader, READ, lambda mask: self._signalled(os.read(reader, 4096)))

    def _signalled(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers and not self._going_down:
            self._going_down = True
            self._say({"kind": "going-down"})
            self._over = self._run is None or self._run.collecting
        self._reap()

    def _reap(self) -> None:
        while True:
            ended = processes.ended_child()
            if ended is None:
                return
            pid, exit_code, number = ended
            run = self._run
            if run is None or pid != run.leader:
                os.waitpid(pid, 0)
            elif self._going_down:
                self._over = True  # a shutdown killed it: that is no verdict, and we are next
                return
            else:
                run.leader_has_ended(exit_code, number)
                if self._run is run:
                    return  # it is still ending; others are reaped after it

    # Attachments -----------------------------------------------------------------------------------------

    def _accept(self, mask: int) -> None:
        try:
            bridge, _ = self._listener.accept()
        except OSError:
            return
        if handover.is_ours(bridge):
            bridge.setblocking(False)
            self._loop.watch(bridge.fileno(), READ, lambda mask: self._attach(bridge))
        else:
            bridge.close()

    def _attach(self, bridge: socket.socket) -> None:
        self._loop.forget(bridge.fileno())
        descriptors = None if self._parting else handover.take(bridge)
        if descriptors is None:
            bridge.close()
            return
        if self._attachment is not None:
            self._attachment.supersede({"kind": "superseded"})
        self._attachment = Attachment(
            self._loop,
            self._outbox,
            bridge,
            descriptors,
            self._settings.beat,
            self._settings.silence,
            self._alive,
            self._frame,
            self._detached,
        )
        self._linger.cancel()
        self._say(self._hello())
        if self._going_down:
            self._say({"kind": "going-down"})

    def _hello(self) -> "dict[str, Any]":
        run, key = self._untold_run()
        hello = {
            "kind": "hello",
            "protocol": PROTOCOL,
            "session": self._session,
            "incarnation": self._incarnation,
            "order": self._order,
            "run": run,
            "key": key,
            "frame": self._outbox.next_number,
            "folder": self._folder,
            "archive": self._archive,
            "python": sys.executable,
            "python_version": "{}.{}.{}".format(*sys.version_info[:3]),
            "pid": os.getpid(),
            "last_words": self._last_words,
        }
        hello.update(machine.facts())
        return hello

    def _untold_run(self) -> "tuple[int | None, str]":
        """Return number and key of the run that goes on, or whose end no host has acknowledged."""
        if self._run is not None:
            return self._run.number, self._key
        if self._ended is not None and self._ended[2] > self._outbox.acknowledged:
            return self._ended[:2]
        return None, ""

    def _alive(self) -> "dict[str, Any]":
        alive = {"kind": "alive"}  # type: dict[str, Any]
        if self._run is not None:
            alive["left"] = self._run.time_left
        return alive

    def _say(self, head: "dict[str, Any]") -> None:
        if self._attachment is not None:
            self._attachment.say(head)

    def _detached(self) -> None:
        self._attachment = None
        self._linger = self._loop.after(self._settings.linger, self._lingered)
        if self._ending and self._run is None:
            self._over = True

    def _lingered(self) -> None:
        """Nobody came back: end what runs as on timeout, and then the session."""
        if self._run is not None:
            self._run.cancel(None, "linger")
        self._end("no host for {:.0f} seconds".format(self._settings.linger))

    # Orders ----------------------------------------------------------------------------------------------

    def _frame(self, number: int, head: bytes, tail: bytes) -> None:
        try:
            order = json.loads(head.decode("utf-8", "surrogateescape"))
            kind = order["kind"]
        except (ValueError, KeyError, TypeError):
            raise FrameError("the host sent a message that is none")
        if kind == "acknowledge":
            self._outbox.acknowledge(order["frame"])
            if self._run is not None:
                self._run.acknowledged(order["frame"])
        elif kind != "alive" and number > self._order:  # else it was carried out before
            self._order = number
            self._carry_out(number, kind, order)

    def _carry_out(self, number: int, kind: str, order: "dict[str, Any]") -> None:
        run = self._run
        if kind == "start":
            self._start(number, order)
        elif kind == "lengths":
            self._lengths += order["files"]
        elif kind == "cancel" and run is not None and run.number == order["run"]:
            run.cancel(order.get("grace", 5.0))
        elif kind == "hang-up" and run is not None and run.number == order["run"]:
            run.hang_up(order.get("grace", 5.0))
        elif kind == "end":
            if run is not None:
                run.cancel(0)
            self._end("the host ended the session")

    def _start(self, number: int, order: "dict[str, Any]") -> None:
        key = str(order.get("key", ""))
        lengths, self._lengths = self._lengths, []
        try:
            self._refuse_if_not_free()
            self._key = key
            self._run = Run(
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
            self._outbox.add({"kind": "failed", "run": number, "reason": str(error)})
            if self._run is None:
                self._ended = number, key, self._outbox.next_number - 1

    def _refuse_if_not_free(self) -> None:
        """Raise SpawnError where no run may start now."""
        if self._run is not None:
            raise SpawnError("run {} is still going on".format(self._run.number))
        if self._ending or self._going_down:
            raise SpawnError("the session is ending")
        if processes.any_lives(self._left):
            raise SpawnError("processes of an earlier run are still alive and can not be killed")

    def _run_ended(self, run: Run) -> None:
        self._run = None
        self._ended = run.number, self._key, self._outbox.next_number - 1
        self._left = run.left_behind
        if self._ending:
            self._bye()
        self._reap()

    def _end(self, why: str) -> None:
        if self._ending is None:
            self._ending = why
            if self._run is None:
                self._bye()

    def _bye(self) -> None:
        # The folder goes first: who reads the farewell may rely on it.
        reason = (self._ending or "") + _remove(self._folder)
        self._parting = True
        self._loop.forget(self._listener.fileno())
        self._listener.close()  # who comes now starts another daemon
        if self._attachment is None:
            self._over = True
        else:
            self._attachment.finish({"kind": "bye", "reason": reason})


def run_daemon(
    session: str, folder: str, archive: str, settings: Settings, listener: socket.socket
) -> None:
    """Serve one session until it is over; what goes wrong is left as last words for the next incarnation."""
    daemon = None
    try:
        daemon = Daemon(session, folder, archive, settings, listener)
        daemon.serve()
    except Exception as error:
        if daemon is not None:
            daemon.abandon()
        last_words.leave(folder, error)


def _wake_up(number: int, frame: object) -> None:
    """The loop reads the number from the wake-up descriptor."""


def _remove(folder: str) -> str:
    """Remove the session's folder; return "", or words that say why it is still there."""
    try:
        mounted = machine.mounts_below(folder)
    except OSError as error:
        return "; {} stays: {}".format(folder, error)
    if mounted:
        # What is mounted there may be the machine's own disk.
        return "; {} stays, because {} is mounted".format(folder, mounted[0])
    deadline = time.monotonic() + _REMOVAL_PATIENCE
    while os.path.isdir(folder):
        shutil.rmtree(folder, ignore_errors=True)  # a tree may just be arriving in it
        if time.monotonic() > deadline:
            return "; {} stays: it can not be removed".format(folder)
    return ""
