"""The bridge: the process that a login starts. It hands its stdin and stdout to the daemon and waits.

The first bridge of a session starts the daemon, whichever comes first (`handover.py`), if the session gets its slot of
the machine (`slot.py`). Else it says who has that, and ends.
"""

import errno
import fcntl
import os
import socket
import time

from . import handover, last_words, leftovers
from .bootstrap import make_private
from .fork import fork_away, point_at_null
from .framing import MAGIC, pack
from .settings import Settings
from .slot import Slot, Words

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE = 5.0  # seconds for a daemon that is just starting, or just ending
_WAY_PATIENCE = (
    1.0  # seconds for one that makes way; where it has a test to end, the host comes again
)
_RETRY = 0.02  # seconds
_LOWEST_OURS = 10  # those below are a test's


class _Busy(Exception):
    """Another session has the slot."""

    def __init__(self, words: Words, note: str) -> None:
        super().__init__(note)
        self.words = words
        self.note = note


def attach(session: str, folder: str, archive: str, settings: Settings) -> None:
    """Hand stdin and stdout to the daemon of `session`; return when it is done with them.

    It is started, with these settings, where there is none. `folder` is the session's own; `archive` is what this code
    runs from. Raises OSError.
    """

    def start(listener: socket.socket) -> None:
        _start_daemon(session, folder, archive, settings, listener)

    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            daemon = _connect(session, start, deadline)
        except _Busy as busy:
            _say_busy(busy)
            return
        if not handover.is_ours(daemon):
            raise OSError(errno.EPERM, "session {} belongs to another user".format(session))
        if handover.hand_over(daemon, 0, 1):
            break
        daemon.close()
        if time.monotonic() > deadline:
            said = last_words.read(folder) or "without a word"
            raise OSError(errno.EIO, "the session's daemon ends as soon as it starts: " + said)
        time.sleep(_RETRY)
    point_at_null(0, 1, 2)
    daemon.settimeout(None)
    try:
        daemon.recv(1)  # end of file: detached, superseded, or over
    except OSError:
        pass  # the daemon was killed


def _say_busy(busy: _Busy) -> None:
    words = busy.words
    head = {"kind": "busy", "owner": words.owner, "since": words.since, "session": words.session}
    head.update({"test": words.test, "note": busy.note})
    os.write(1, MAGIC + pack(0, head))


def _connect(
    session: str, start: "Callable[[socket.socket], None]", deadline: float
) -> socket.socket:
    while True:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(handover.address(session))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            start(listener)
        finally:
            listener.close()
        try:
            return handover.connect(session)
        except OSError:  # it is bound and does not listen yet, or it has just ended
            if time.monotonic() > deadline:
                raise
            time.sleep(_RETRY)


# Where there is no daemon ----------------------------------------------------------------------------------


def _start_daemon(
    session: str, folder: str, archive: str, settings: Settings, listener: socket.socket
) -> None:
    sessions = os.path.dirname(folder)
    make_private(sessions)
    from .daemon import run_daemon  # noqa: PLC0415  # most of the agent: only its first bridge needs it

    slot = _take_slot(session, settings)
    try:
        _check_what_was_left(sessions, folder, slot, settings.take_over)
        make_private(folder)
        leftovers.claim(folder, slot.name)
        slot.introduce(settings.owner, session)
        listener.listen(8)

        kept = fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD_CLOEXEC, _LOWEST_OURS)

        def serve() -> None:
            ours = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=kept)
            run_daemon(session, folder, archive, settings, slot, ours)

        try:
            fork_away(serve, kept, *slot.descriptors)
        finally:
            os.close(kept)
        _retire_what_was_left(sessions, folder, slot)
    finally:
        slot.leave()  # the daemon has it


def _take_slot(session: str, settings: Settings) -> Slot:
    slot = Slot(settings.slot)
    deadline = 0.0
    note = ""
    while not slot.take():
        words = slot.words()
        if not deadline:
            deadline = time.monotonic()
            if words.session == session:
                deadline += _PATIENCE  # our own daemon is just dying
            elif settings.take_over and handover.ask_to_make_way(words.session, slot.name):
                deadline += _WAY_PATIENCE
                note = "it was told to make way, and ends what it runs"
            elif settings.take_over:
                note = (
                    "it can not be told to make way: it does not answer, or belongs to another user"
                )
        if time.monotonic() >= deadline:
            raise _Busy(words, note)
        time.sleep(_RETRY)
    return slot


def _check_what_was_left(sessions: str, folder: str, slot: Slot, take_over: bool) -> None:
    """Kill what an earlier run in this slot left. Raises _Busy where that lives on, or is to be left the slot."""
    leftovers.end_processes(sessions, slot.name, folder)
    words = slot.words()
    if words.session == os.path.basename(folder):
        return
    survivors = words.survivors()
    if survivors:
        pids = ", ".join(map(str, survivors[:10]))
        raise _Busy(words, "that ended, but processes of its test live on: {}".format(pids))
    if words.until > time.time() and not take_over:
        until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(words.until))
        raise _Busy(words, "its test restarts the machine, and may be back until {}".format(until))


def _retire_what_was_left(sessions: str, folder: str, slot: Slot) -> None:
    try:
        if leftovers.retire_sessions(sessions, slot.name, folder):
            fork_away(lambda: leftovers.remove_retired(sessions))
    except OSError:
        pass  # it costs room, nothing else; the next one tries it again
