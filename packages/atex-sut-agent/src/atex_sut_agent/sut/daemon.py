"""The session: a daemon that outlives the connections of its host. Orders in, facts out, one loop.

It has one run at a time, and one attachment or none. It ends when it is told to, or after an hour without a
host. Single-threaded; nothing here blocks, but for the start of a process.
"""

import array
import json
import os
import shutil
import signal
import socket
import struct
import sys
import traceback

from . import leader, machine, processes
from .attachment import Attachment
from .clock import now
from .framing import PROTOCOL
from .loop import READ, Loop, Timer
from .outbox import Outbox
from .run import Run
from .spawn import become_subreaper, protect_from_oom

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from typing import Any

_BEAT = 15.0  # seconds between signs of life
_SILENCE = 45.0  # seconds without any frame of the host until it counts as gone
_LINGER = 3600.0  # seconds without a host until the session ends
_FAREWELL = 5.0  # seconds for the last frames to leave


class Daemon:
    """One session. `folder` is its own, `listener` the socket at which bridges hand over their descriptors."""

    def __init__(self, session: str, folder: str, archive: str, listener: socket.socket) -> None:
        self._session = session
        self._folder = folder
        self._archive = archive
        self._listener = listener
        self._incarnation = os.urandom(16).hex()
        self._loop = Loop()
        self._outbox = Outbox()
        self._attachment: "Attachment | None" = None
        self._order = 0  # the highest number of an order that was taken
        self._run: "Run | None" = None
        self._left: "int | None" = None  # an ended run that left processes behind
        self._environment = machine.base_environment()
        self._is_subreaper = become_subreaper()
        self._last_words = _end_earlier_incarnation(folder)
        self._heard = now()
        self._beat: "Timer | None" = None
        self._linger = self._loop.after(_LINGER, self._lingered)
        self._ending: "str | None" = None  # why the session ends
        self._going_down = False
        self._over = False

    def serve(self) -> None:
        """Run until the session is over, then remove its folder."""
        self._catch_signals()
        self._listener.setblocking(False)
        self._loop.watch(self._listener.fileno(), READ, self._accept)
        while not self._over:
            self._loop.turn()
            if self._run is not None:
                if self._outbox.full:
                    self._run.pause()
                else:
                    self._run.resume()
            if self._attachment is not None:
                self._attachment.flush()
            if (
                self._ending
                and self._run is None
                and (self._attachment is None or self._attachment.idle)
            ):
                self._over = True
        if self._attachment is not None:
            self._attachment.close()
        self._listener.close()

    # Signals ---------------------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        for number in (
            signal.SIGINT,
            signal.SIGHUP,
            signal.SIGPIPE,
            signal.SIGTSTP,
            signal.SIGTTOU,
        ):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        signal.set_wakeup_fd(writer)
        self._loop.watch(reader, READ, lambda mask: self._signalled(os.read(reader, 4096)))

    def _signalled(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers and not self._going_down:
            self._going_down = True
            self._say({"kind": "going-down"})
        self._reap()

    def _reap(self) -> None:
        while True:
            ended = processes.ended_child()
            if ended is None:
                return
            pid = ended[0]
            if self._run is not None and pid == self._run.leader:
                if self._going_down:
                    self._over = True  # a shutdown killed it: that is no verdict, and we are next
                    return
                run = self._run
                run.leader_ended(*ended[1:])
                if self._run is run:
                    return  # it is still ending; others are reaped after it
            else:
                os.waitpid(pid, 0)

    # Attachments -----------------------------------------------------------------------------------------

    def _accept(self, mask: int) -> None:
        try:
            bridge, _ = self._listener.accept()
        except OSError:
            return
        handed = _receive_descriptors(bridge)
        if handed is None:
            bridge.close()
            return
        if self._attachment is not None:
            self._attachment.say({"kind": "superseded"})
            self._attachment.flush()
            self._attachment.close()
        self._attachment = Attachment(
            self._loop, self._outbox, bridge, handed[0], handed[1], self._frame, self._detached
        )
        self._linger.cancel()
        self._heard = now()
        self._attachment.say(self._hello())
        self._schedule_beat()

    def _hello(self) -> "dict[str, Any]":
        hello = {
            "kind": "hello",
            "protocol": PROTOCOL,
            "session": self._session,
            "incarnation": self._incarnation,
            "order": self._order,
            "run": self._run.number if self._run else None,
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

    def _detached(self, attachment: Attachment) -> None:
        self._attachment = None
        self._beat.cancel()
        self._linger = self._loop.after(_LINGER, self._lingered)
        if self._ending:
            self._over = self._run is None

    def _say(self, head: "dict[str, Any]") -> None:
        if self._attachment is not None:
            self._attachment.say(head)

    def _schedule_beat(self) -> None:
        if self._beat is not None:
            self._beat.cancel()
        self._beat = self._loop.after(_BEAT, self._beat_due)

    def _beat_due(self) -> None:
        if now() - self._heard > _SILENCE:
            self._attachment.close()
            self._detached(self._attachment)
            return
        self._say({"kind": "alive"})
        self._schedule_beat()

    def _lingered(self) -> None:
        """Nobody came back: end what runs as on timeout, and then the session."""
        self._end("no host for {:.0f} seconds".format(_LINGER))
        if self._run is not None:
            self._run.cancel(self._run.grace, "linger")

    # Orders ----------------------------------------------------------------------------------------------

    def _frame(self, number: int, head: bytes, tail: bytes) -> None:
        self._heard = now()
        order = json.loads(head.decode("utf-8", "surrogateescape"))
        kind = order["kind"]
        if kind == "acknowledge":
            self._outbox.acknowledge(order["frame"])
            return
        if kind == "alive" or number <= self._order:
            return  # a number that was seen before is an order that was carried out before
        self._order = number
        if kind == "start":
            self._start(number, order)
        elif kind == "cancel":
            if self._run is not None and self._run.number == order["run"]:
                self._run.cancel(order.get("grace", 5.0))
        elif kind == "end":
            self._end("the host ended the session")
            if self._run is not None:
                self._run.cancel(0)

    def _start(self, number: int, order: "dict[str, Any]") -> None:
        refusal = None
        if self._run is not None:
            refusal = "run {} is still going on".format(self._run.number)
        elif self._left is not None and processes.session_members(self._left):
            refusal = "processes of an earlier run are still alive and can not be killed"
        if refusal:
            self._outbox.add({"kind": "failed", "run": number, "reason": refusal})
            return
        self._run = Run(
            self._loop,
            self._outbox,
            self._folder,
            number,
            order,
            self._environment,
            self._is_subreaper,
            self._run_ended,
        )
        self._run.start()

    def _run_ended(self, run: Run) -> None:
        self._run = None
        if run.left_behind:
            self._left = run.leader
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
        shutil.rmtree(self._folder, ignore_errors=True)
        self._say({"kind": "bye", "reason": self._ending})
        self._loop.after(_FAREWELL, self._stop)

    def _stop(self) -> None:
        self._over = True


def run_daemon(session: str, folder: str, archive: str, listener: socket.socket) -> None:
    """Serve one session until it is over; what goes wrong is left as last words for the next incarnation."""
    try:
        daemon = Daemon(session, folder, archive, listener)
        protect_from_oom()
        daemon.serve()
    except Exception:
        with open(os.path.join(folder, "last-words"), "w") as file:
            file.write(traceback.format_exc())


def _receive_descriptors(bridge: socket.socket) -> "tuple[int, int] | None":
    """Return the (stdin, stdout) that a bridge of our own user hands over, or None."""
    credentials = bridge.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    if struct.unpack("3i", credentials)[1] != os.getuid():
        return None
    bridge.settimeout(1)
    fds = array.array("i")
    try:
        _, ancillary, _, _ = bridge.recvmsg(1, socket.CMSG_SPACE(2 * fds.itemsize))
    except OSError:
        return None
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    if len(fds) != 2:
        for fd in fds:
            os.close(fd)
        return None
    for fd in fds:
        os.set_inheritable(fd, False)
    return tuple(fds)


def _end_earlier_incarnation(folder: str) -> str:
    """Kill the session of a run that an earlier daemon of this session left; return that daemon's last words."""
    earlier = leader.recall(folder)
    if earlier is not None:
        processes.kill_session(earlier)
    words = os.path.join(folder, "last-words")
    try:
        with open(words) as file:
            said = file.read(4096)
        os.unlink(words)
    except OSError:
        return ""
    return said
