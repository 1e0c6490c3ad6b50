"""The session: a daemon that outlives the connections of its host. Orders in, facts out, one loop.

It has one run at a time, and one attachment or none. It ends when it is told to, or after an hour without a
host (at once, where its only host left without a word), or when it is asked to make way in its slot. Single-threaded;
nothing here blocks, but for the start of a process.
"""

import json
import os
import signal
import socket
import sys

from . import handover, last_words, leader, leftovers, machine, processes
from .attachment import Attachment
from .fork import fork_child
from .framing import PROTOCOL, FrameError
from .loop import READ, Loop
from .outbox import Outbox
from .runs import Runs
from .settings import Settings
from .signals import catch_signals
from .slot import Slot
from .spawn import prepare_to_spawn
from .spool import Spool

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from typing import Any

_REMOVAL_PATIENCE = 10.0  # seconds until the host is told that its folder is still being removed


class Daemon:
    """One session. `folder` is its own, `listener` the socket at which bridges hand over their descriptors.

    `slot` is held.
    """

    def __init__(
        self,
        session: str,
        folder: str,
        archive: str,
        settings: Settings,
        slot: Slot,
        listener: socket.socket,
    ) -> None:
        self._session = session
        self._folder = folder
        self._archive = archive
        self._settings = settings
        self._slot = slot
        self._listener = listener
        self._incarnation = os.urandom(16).hex()
        self._loop = Loop()
        self._outbox = Outbox(settings.memory, Spool(folder, settings.spool))
        self._attachment: "Attachment | None" = None
        self._order = 0  # the highest number of an order that was taken
        self._last_words = last_words.read(folder) or leader.recall(folder)[1]
        self._runs = Runs(self._loop, self._outbox, slot, folder, archive, self._run_ended)
        self._linger = self._loop.after(settings.linger, self._lingered)
        # Whether somebody may come back for what is here: a host said something, now or before a restart.
        self._is_used = os.path.isdir(os.path.join(folder, "tree"))
        self._ending: "str | None" = None  # why the session ends
        self._removing: "int | None" = None  # the process that removes the folder
        self._parting = False  # nobody is let in any more
        self._going_down = False
        self._over = False

    def serve(self) -> None:
        """Run until the session is over; then its folder is gone. Whatever it raises, call `abandon()`."""
        leader.forget(self._folder)
        last_words.forget(self._folder)
        prepare_to_spawn()
        catch_signals(self._loop, self._signalled)
        self._listener.setblocking(False)
        self._loop.watch(self._listener.fileno(), READ, self._accept)
        while not self._over:
            self._loop.turn()
            self._outbox.spooling = self._attachment is None or self._attachment.stuck
            self._runs.mind_the_outbox()
            if self._attachment is not None:
                self._attachment.flush()

    def abandon(self) -> None:
        """End at once: no test goes on where nobody watches it."""
        if self._runs.current is not None:
            processes.signal_session(self._runs.current.leader, signal.SIGKILL)

    # Signals ---------------------------------------------------------------------------------------------

    def _signalled(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers and not self._going_down:
            self._going_down = self._runs.closed = True
            self._say({"kind": "going-down"})
            self._over = self._runs.current is None or self._runs.current.collecting
        self._reap()

    def _reap(self) -> None:
        while True:
            ended = processes.ended_child()
            if ended is None:
                return
            pid, exit_code, number = ended
            run = self._runs.current
            if run is None or pid != run.leader:
                os.waitpid(pid, 0)
                if pid == self._removing:
                    self._part("" if exit_code == 0 else "; not all of its folder could be removed")
            elif self._going_down:
                self._over = True  # a shutdown killed it: that is no verdict, and we are next
                return
            else:
                run.leader_has_ended(exit_code, number)
                if self._runs.current is run:
                    return  # it is still ending; others are reaped after it

    # Attachments -----------------------------------------------------------------------------------------

    def _accept(self, mask: int) -> None:
        try:
            bridge, _ = self._listener.accept()
        except OSError:
            return
        if handover.user_of(bridge) not in (0, os.getuid()):
            bridge.close()
            return
        bridge.setblocking(False)
        self._loop.watch(bridge.fileno(), READ, lambda mask: self._asked(bridge))

    def _asked(self, bridge: socket.socket) -> None:
        self._loop.forget(bridge.fileno())
        descriptors = None if self._parting else handover.take(bridge, self._slot.name)
        if descriptors:
            self._attach(bridge, descriptors)
            return
        bridge.close()
        if descriptors is not None:
            self._end_as_on_timeout("its slot was taken over")

    def _attach(self, bridge: socket.socket, descriptors: "tuple[int, int]") -> None:
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
        run, key = self._runs.untold()
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

    def _alive(self) -> "dict[str, Any]":
        alive: "dict[str, Any]" = {"kind": "alive"}
        if self._runs.current is not None:
            alive["left"] = self._runs.current.time_left
        return alive

    def _say(self, head: "dict[str, Any]") -> None:
        if self._attachment is not None:
            self._attachment.say(head)

    def _detached(self) -> None:
        self._attachment = None
        if self._parting:
            self._over = True
        elif self._is_used:
            self._linger = self._loop.after(self._settings.linger, self._lingered)
        else:
            self._end("its host left without a word")

    def _lingered(self) -> None:
        self._end_as_on_timeout("no host for {:.0f} seconds".format(self._settings.linger))

    def _end_as_on_timeout(self, why: str) -> None:
        """End what runs as its limit would, and then the session."""
        if self._runs.current is not None:
            self._runs.current.cancel(None, "linger")
        self._end(why)

    # Orders ----------------------------------------------------------------------------------------------

    def _frame(self, number: int, head: bytes, tail: bytes) -> None:
        self._is_used = True
        try:
            order = json.loads(head.decode("utf-8", "surrogateescape"))
            kind = order["kind"]
        except (ValueError, KeyError, TypeError):
            raise FrameError("the host sent a message that is none")
        if kind == "acknowledge":
            self._outbox.acknowledge(order["frame"])
            self._runs.acknowledged(order["frame"])
        elif kind != "alive" and number > self._order:  # else it was carried out before
            self._order = number
            self._carry_out(number, kind, order)

    def _carry_out(self, number: int, kind: str, order: "dict[str, Any]") -> None:
        if kind == "start":
            self._runs.start(number, order)
        elif kind == "lengths":
            self._runs.continue_files(order["files"])
        elif kind in ("cancel", "hang-up"):
            run = self._runs.numbered(order["run"])
            grace = order.get("grace", 5.0)
            if run is not None and kind == "cancel":
                run.cancel(grace)
            elif run is not None:
                run.hang_up(grace)
        elif kind == "end":
            if self._runs.current is not None:
                self._runs.current.cancel(0)
            self._end("the host ended the session")

    # The end ---------------------------------------------------------------------------------------------

    def _run_ended(self) -> None:
        if self._ending:
            self._bye()
        self._reap()

    def _end(self, why: str) -> None:
        if self._ending is None:
            self._ending = why
            self._runs.closed = True
            if self._runs.current is None:
                self._bye()

    def _bye(self) -> None:
        # The folder goes first: who reads the farewell may rely on it.
        try:
            retired = leftovers.retire(self._folder)
            self._removing = fork_child(lambda: leftovers.remove(retired))
        except FileNotFoundError:
            self._part("")  # a test has removed it
        except OSError as error:
            self._part("; {} stays, because {}".format(self._folder, error.strerror or error))
        else:
            remark = "; its folder is still being removed"
            self._loop.after(_REMOVAL_PATIENCE, lambda: self._part(remark))

    def _part(self, remark: str) -> None:
        if self._parting:
            return
        self._parting = True
        self._loop.forget(self._listener.fileno())
        self._listener.close()  # who comes now starts another daemon
        self._slot.release()
        if self._attachment is None:
            self._over = True
        else:
            self._attachment.finish({"kind": "bye", "reason": (self._ending or "") + remark})


def run_daemon(
    session: str,
    folder: str,
    archive: str,
    settings: Settings,
    slot: Slot,
    listener: socket.socket,
) -> None:
    """Serve one session until it is over; what goes wrong is left as last words for the next incarnation."""
    daemon = None
    try:
        daemon = Daemon(session, folder, archive, settings, slot, listener)
        daemon.serve()
    except Exception as error:
        if daemon is not None:
            daemon.abandon()
        last_words.leave(folder, error)
