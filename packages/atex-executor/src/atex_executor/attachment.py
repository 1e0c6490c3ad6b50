"""One attachment to an agent: a channel on which the handshake is done, frames out and frames in.

Guarantees: frames leave whole and in the order in which they were queued, whichever threads queue and flush them.

Threads: one thread calls `receive()`, any thread the rest. `_lock` guards `_queue` and `_sending`; nothing is waited
for under it. Who flushes while another thread is sending leaves its frames to that thread.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

import msgspec
from atex_provision import Channel, Connection, ConnectionLost
from atex_sut_agent import BOOT_MAGIC, Archive, attach_command
from atex_sut_agent.protocol import (
    MAGIC,
    PROTOCOL,
    AgentMessage,
    Busy,
    FrameError,
    FrameReader,
    Hello,
    Settings,
    decode_agent_message,
)

from atex_executor.errors import AgentUnavailable, MachineBusy, ProtocolBroken
from atex_executor.line_file import UNDECODABLE

_LAST_WORDS_LIMIT = 2.0  # seconds
_NOISE_LIMIT = 64 * 1024  # bytes that a login may print
_RECEIVE_SIZE = 256 * 1024  # bytes
_MAX_NUMBER = 2**63  # of an order; a frame has room for twice as many
_LONGEST_WORDS = 200  # characters of what a machine says about its owner

_log = logging.getLogger(__name__)

Frame = tuple[int, AgentMessage, bytes]
"""Number, message, tail."""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How the agent of a session is started where there is none. What is None the machine finds out."""

    python: str | None = None
    work: str | None = None
    become: bool = False  # as root, by sudo
    settings: Settings = Settings()


class _Boot(msgspec.Struct, forbid_unknown_fields=True):
    """What the machine says before it is the agent."""

    need: bool = False
    error: str | None = None


class Attachment:
    """An attached agent. `hello` is what it said first; `received` counts the bytes that came from it."""

    def __init__(self, channel: Channel, handshake: "_Handshake") -> None:
        self.hello = handshake.hello
        self.received = 0
        self._channel = channel
        self._reader = handshake.reader
        self._waiting = handshake.frames  # came together with hello
        self._lock = threading.Lock()
        self._queue = bytearray()
        self._sending = False

    def receive(self, timeout: float) -> Iterator[Frame]:
        """Wait for the next bytes and yield the frames they complete, maybe none.

        Raises TimeoutError after `timeout` seconds, ConnectionLost, and ProtocolBroken for what is no frame.
        """
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            yield from waiting
            return
        data = self._channel.receive(_RECEIVE_SIZE, timeout)
        if not data:
            raise ConnectionLost("the connection to the agent ended")
        self.received += len(data)
        yield from _frames(self._reader, data)

    def queue(self, frame: bytes) -> None:
        """Put a frame behind those that are to be sent. Never waits."""
        with self._lock:
            self._queue += frame

    def flush(self, limit: float) -> None:
        """Send what is queued. Where that fails, or takes longer than `limit` seconds, the channel is closed, and
        `receive()` says so.
        """
        while True:
            with self._lock:
                if self._sending or not self._queue:
                    return
                data = bytes(self._queue)
                self._queue.clear()
                self._sending = True
            try:
                self._channel.send(data, limit)
                with self._lock:
                    self._sending = False
            except (ConnectionLost, TimeoutError) as error:
                _log.info("sending failed: %s", error)
                self.close()
                return  # and `_sending` stays: nothing can be sent any more
            except BaseException:  # Ctrl-C: nobody knows how much of it was sent
                self.close()
                raise

    def close(self) -> None:
        """Detach. Any thread; total. A `receive()` in another thread raises ConnectionLost."""
        self._channel.close()


def attach(
    connection: Connection,
    archive: Archive,
    session: str,
    launch: Launch,
    limit: float,
) -> Attachment:
    """Attach to the agent of `session` (32 hexadecimal digits), which is started where there is none.

    Raises AgentUnavailable where there can not be one, or is none after `limit` seconds, MachineBusy where another
    session has the machine, ProtocolBroken where what answers is no agent, ConnectionLost.
    """
    command = attach_command(
        archive,
        session,
        python=launch.python,
        work=launch.work,
        settings=launch.settings,
        become=launch.become,
    )
    channel = connection.open(command)
    try:
        handshake = _Handshake(channel, connection.name, limit)
        handshake.boot(archive)
        handshake.greet(session)
        return Attachment(channel, handshake)
    except TimeoutError as error:
        channel.close()
        raise ConnectionLost(str(error)) from error
    except BaseException:
        channel.close()
        raise


class _Handshake:
    """The first bytes of a channel (docs/protocol.md, "Attaching"), within `limit` seconds."""

    hello: Hello

    def __init__(self, channel: Channel, name: str, limit: float) -> None:
        self.reader = FrameReader()
        self.frames: list[Frame] = []
        self._channel = channel
        self._name = name
        self._limit = limit
        self._deadline = time.monotonic() + limit
        self._buffer = b""

    def boot(self, archive: Archive) -> None:
        """The machine finds a python and a work folder, and takes the archive where it has not got it."""
        self._skip_noise(BOOT_MAGIC)
        line = self._take_until(b"\n")
        try:
            boot = msgspec.json.decode(line, type=_Boot)
        except UNDECODABLE as error:
            raise ProtocolBroken(f"{self._name}: not an agent's first line: {error}") from error
        if boot.error is not None:
            raise AgentUnavailable(f"{self._name}: {boot.error}")
        if boot.need:
            self._channel.send(archive.data, max(0.0, self._deadline - time.monotonic()))

    def greet(self, session: str) -> None:
        """The agent says hello."""
        self._skip_noise(MAGIC)
        data = self._buffer
        while not self.frames:
            self.frames += _frames(self.reader, data)
            data = b"" if self.frames else self._receive()
        number, hello, _ = self.frames.pop(0)
        if isinstance(hello, Busy):
            raise MachineBusy(f"{self._name}: {_occupied(hello)}", hello.session)
        if not isinstance(hello, Hello) or number:
            raise ProtocolBroken(f"{self._name}: the agent did not say hello first")
        if hello.protocol != PROTOCOL or hello.session != session:
            raise ProtocolBroken(
                f"{self._name}: an agent of another session or version answered: "
                f"{hello.session!r}, version {hello.protocol}"
            )
        if not _is_possible(hello):
            raise ProtocolBroken(f"{self._name}: the agent said hello with numbers that none has")
        self.hello = hello

    def _skip_noise(self, magic: bytes) -> None:
        while (found := self._buffer.find(magic)) < 0:
            if len(self._buffer) > _NOISE_LIMIT:
                raise AgentUnavailable(
                    f"{self._name}: the login prints more than {_NOISE_LIMIT // 1024} KiB and no agent answers; "
                    f"it begins with {self._buffer[:80]!r}"
                )
            self._buffer += self._receive()
        self._buffer = self._buffer[found + len(magic) :]

    def _take_until(self, end: bytes) -> bytes:
        while (found := self._buffer.find(end)) < 0:
            if len(self._buffer) > _NOISE_LIMIT:
                raise ProtocolBroken(f"{self._name}: not an agent's first line: it does not end")
            self._buffer += self._receive()
        line, self._buffer = self._buffer[:found], self._buffer[found + len(end) :]
        return line

    def _receive(self) -> bytes:
        left = self._deadline - time.monotonic()
        try:
            data = self._channel.receive(_RECEIVE_SIZE, max(0.0, left))
        except TimeoutError:
            raise AgentUnavailable(
                f"{self._name}: no agent answered within {self._limit:g} seconds{self._words()}"
            ) from None
        if not data:
            raise AgentUnavailable(f"{self._name}: the agent did not start{self._words()}")
        return data

    def _words(self) -> str:
        """What the machine has to say about it."""
        with contextlib.suppress(ConnectionLost, TimeoutError):
            self._channel.wait(_LAST_WORDS_LIMIT)
        said = self._channel.stderr_tail().decode("utf-8", "replace").strip()
        return f": {said[-1000:]}" if said else ""


def _occupied(busy: Busy) -> str:
    """Return in words who has the machine; what they say of themselves is quoted, for it may be anything."""
    try:
        since = time.strftime(" since %Y-%m-%d %H:%M:%S %Z", time.localtime(busy.since))
    except (OverflowError, ValueError, OSError):
        since = ""
    test = f", for {busy.test[:_LONGEST_WORDS]!r}" if busy.test else ""
    note = f"; {busy.note[:_LONGEST_WORDS]}" if busy.note else ""
    owner = busy.owner[:_LONGEST_WORDS] or "somebody"
    return f"the machine is in use by {owner!r}{since}{test} (session {busy.session[:32]!r}){note}"


def _is_possible(hello: Hello) -> bool:
    """Do its numbers fit together, and into frames? From them the host goes on counting."""
    run = hello.run
    return (
        0 <= hello.order < _MAX_NUMBER
        and hello.frame >= 1
        and (run is None or 1 <= run <= hello.order)
    )


def _frames(reader: FrameReader, data: bytes) -> Iterator[Frame]:
    try:
        for number, head, tail in reader.feed(data):
            yield number, decode_agent_message(head), tail
    except FrameError as error:
        raise ProtocolBroken(str(error)) from error
