"""The way to the agent of one session: one attachment after the other, over connections that may break.

Guarantees: each frame that counts is handed to the listener once and in order as long as the agent lives, whatever is
replayed; it is acknowledged at the latest 0.2 s or 1 MiB later, where somebody waits for that at once; the connection
shows a sign of life every 15 s, and 45 s without a byte from the machine end it; a lost one is tried again within the
patience, or until the moment at which the machine is expected back.

Threads: the reader, a daemon thread from `read()` until the listener is told that it is over. It receives, calls the
listener, reconnects, and owns every attribute that `_lock` does not guard: `_attachment`, `_sequence` (what of it only
the reader changes, it may read without), `_stopped`, `_reading`. Any thread may call `queue()`, `flush()`, `settle()`,
`hurry()` and `stop()`.
Nothing is waited for under `_lock`; the listener may hold a lock of its own when it calls `queue()`.
"""

import logging
import threading
import time
from math import inf
from typing import NoReturn, Protocol

from atex_provision import Connection, ConnectionLost, ProvisionError
from atex_sut_agent.protocol import (
    Acknowledge,
    AgentMessage,
    Alive,
    Bye,
    GoingDown,
    Hello,
    Restarting,
    Superseded,
    Sync,
    encode_host_message,
)

from atex_executor.approach import Approach
from atex_executor.attachment import Attachment
from atex_executor.errors import AgentUnavailable, MachineBusy, MachineLost, ProtocolBroken
from atex_executor.patience import Patience
from atex_executor.sequence import Sequence
from atex_executor.times import Times
from atex_executor.verdict import human_duration

_ACKNOWLEDGE_AFTER = 0.2  # seconds
_ACKNOWLEDGE_BYTES = 1024 * 1024
_USEFUL_AFTER = 10.0  # seconds after which an attachment counts as one that works
_STOP_AT_ONCE = 0.5  # seconds for the reader to notice that it is to stop
_STOP_LIMIT = 5.0  # seconds for the same once its connection is closed

_WAITED_FOR = (Sync, Restarting)  # messages for whose acknowledgement somebody waits
_NOT_COUNTED = (Hello, Alive, Superseded, GoingDown, Bye)  # messages without a number
_ALIVE = encode_host_message(Alive())

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Who is told what the agent says. The reader calls these, one at a time."""

    def detached(self) -> None:
        """The connection is lost."""

    def attached(self, attachment: Attachment, *, reborn: bool) -> None:
        """There is a new attachment, to another incarnation if `reborn`: queue on it what must go first, then call
        `Link.use()`. Raises MachineLost, ProvisionError or TimeoutError where it is no good.
        """

    def take(self, message: AgentMessage, tail: bytes) -> bool:
        """Deal with a message; return whether it may be acknowledged, else `Link.settle()` says so some day.

        Raises MachineLost where nothing can follow.
        """

    def occupied(self, session: str) -> None:
        """Another session has the machine now. Raises MachineLost where it is not worth waiting for."""

    def over(self, reason: str) -> None:
        """The machine is lost for good. The last call; what is queued now is still sent where that is possible."""


class Link:
    """Keeps a session attached. `start()` first, `read()` then, `stop()` last."""

    def __init__(
        self, connection: Connection, approach: Approach, listener: Listener, times: Times
    ) -> None:
        self.heard = time.monotonic()
        """When the machine was heard last. Any thread may read it."""
        self.expected_by: float | None = None
        """When an announced restart has to be over; the patience does not count meanwhile. Any thread may set it."""
        self._connection = connection
        self._approach = approach
        self._listener = listener
        self._times = times
        self._patience = Patience(times.patience)
        self._lock = threading.Lock()
        self._reading = False
        self._attachment: Attachment | None = None
        self._sequence = Sequence()
        self._stopped = False
        self._incarnation = ""
        self._hurry = threading.Event()
        self._reader = threading.Thread(
            target=self._read, name=f"atex-link {connection.name}", daemon=True
        )

    # What any thread does --------------------------------------------------------------------------------

    def start(self) -> Hello:
        """Connect, attach, and return what the agent says of itself. Waits for a busy machine within the patience.

        Raises AgentUnavailable, MachineBusy among them, and CannotConnect, where there is no agent; ProtocolBroken and
        another ProvisionError where there may be one nevertheless.
        """
        attachment = self._approach.attach_when_free()
        self._incarnation = attachment.hello.incarnation
        self._sequence = Sequence(attachment.hello.frame)
        self.use(attachment)
        return attachment.hello

    def read(self) -> None:
        """Listen to the agent from now on; where there is no connection to it, try again. More than once is once."""
        with self._lock:
            if self._reading:
                return
            self._reading = True
        self._reader.start()

    def settle(self) -> None:
        """All that the listener took may be acknowledged."""
        with self._lock:
            self._sequence.settle()

    def use(self, attachment: Attachment) -> None:
        """Send over this one from now on."""
        with self._lock:
            self._attachment = attachment
            self._sequence.forget_acknowledged()

    def queue(self, frame: bytes) -> bool:
        """Put a frame behind those that are to be sent, and an acknowledgement before it; return False if detached."""
        with self._lock:
            if self._attachment is None:
                return False
            self._queue_acknowledgement(self._attachment)
            self._attachment.queue(frame)
            return True

    def flush(self, limit: float | None = None) -> None:
        """Send what is queued, for `limit` seconds at most. A failure is the reader's to deal with."""
        with self._lock:
            attachment = self._attachment
        if attachment is not None:
            attachment.flush(self._times.silence if limit is None else limit)

    def hurry(self) -> None:
        """Where the connection is lost, try it again now."""
        self._hurry.set()

    def stop(self) -> None:
        """Detach and end the reader. Takes a few seconds at most; total."""
        with self._lock:
            self._stopped = True
            attachment, reading = self._attachment, self._reading
        self._hurry.set()
        if attachment is not None:
            attachment.close()
        if not reading:
            return
        self._reader.join(_STOP_AT_ONCE)
        if self._reader.is_alive():
            self._connection.close()  # wakes it from connecting or from the handshake
            self._reader.join(_STOP_LIMIT)

    def _queue_acknowledgement(self, attachment: Attachment) -> None:
        if self._sequence.owes:
            attachment.queue(encode_host_message(Acknowledge(frame=self._sequence.acknowledge())))

    # What the reader does --------------------------------------------------------------------------------

    def _read(self) -> None:
        reason = "atex has a bug, which the log shows"
        try:
            self._stay_attached()
        except ProtocolBroken as error:
            reason = f"the machine broke the protocol: {error!s:.500}"
        except MachineLost as error:
            reason = str(error)
        except Exception:
            _log.exception("%s: the reader broke", self._connection.name)
        finally:
            self._listener.over(reason)
            self.flush(self._times.farewell)
            self._detach()

    def _stay_attached(self) -> NoReturn:
        attachment = self._attachment
        while True:
            reason = "it was never connected"
            if attachment is not None:
                try:
                    self._serve(attachment)
                except ConnectionLost as error:
                    reason = str(error)
            _log.info("%s: %s", self._connection.name, reason)
            self._detach()
            self._listener.detached()
            attachment = self._reattach(reason)

    def _detach(self) -> None:
        with self._lock:
            attachment, self._attachment = self._attachment, None
        if attachment is not None:
            attachment.close()

    def _reattach(self, reason: str) -> Attachment:
        """Connect and attach again. Raises MachineLost when that is not worth another try."""
        self._patience.lost(time.monotonic())
        while True:
            now = time.monotonic()
            delay = self._patience.next_try(now, self.expected_by)
            if delay is None:
                name, limit = self._connection.name, human_duration(self._patience.seconds)
                if self.expected_by is not None:
                    raise MachineLost(f"{name} did not come back from a restart: {reason}")
                raise MachineLost(f"{name} could not be reached again for {limit}: {reason}")
            self._hurry.wait(delay)
            self._check_stopped()
            self._hurry.clear()
            try:
                return self._try_again()
            except (ProvisionError, AgentUnavailable, TimeoutError) as error:
                if isinstance(error, MachineBusy):
                    self._listener.occupied(error.session)
                if isinstance(error, ProvisionError) and error.permanent:
                    raise MachineLost(str(error)) from error
                reason = str(error)
                _log.info("%s: %s", self._connection.name, reason)

    def _try_again(self) -> Attachment:
        attachment = self._approach.attach()
        reborn = self._incarnation not in ("", attachment.hello.incarnation)
        with self._lock:
            if reborn:
                self._sequence = Sequence()
            self._sequence.attached()
        try:
            self._listener.attached(attachment, reborn=reborn)
        except (ProvisionError, TimeoutError):
            attachment.close()
            raise
        self._incarnation = attachment.hello.incarnation  # not before the listener knows of it
        attachment.flush(self._times.silence)
        return attachment

    def _serve(self, attachment: Attachment) -> NoReturn:
        """Receive until the connection is lost. Raises ConnectionLost then, and what the listener raises."""
        self._check_stopped()
        silence = self._times.silence
        begun = self.heard = time.monotonic()
        beat = begun  # at once: an agent to which nobody ever spoke ends with its connection
        acknowledge = inf  # when what is settled has to be acknowledged
        acknowledged_bytes = 0
        while True:
            now = time.monotonic()
            if now >= self.heard + silence:
                raise ConnectionLost(f"nothing came from the machine for {silence:g} seconds")
            if now >= beat:
                attachment.queue(_ALIVE)
                beat = now + self._times.beat
            if now >= acknowledge or attachment.received - acknowledged_bytes >= _ACKNOWLEDGE_BYTES:
                with self._lock:
                    self._queue_acknowledgement(attachment)
                acknowledge = inf
                acknowledged_bytes = attachment.received
            attachment.flush(silence)
            try:
                wake = min(beat, self.heard + silence, acknowledge)
                for number, message, tail in attachment.receive(max(0.0, wake - time.monotonic())):
                    self._take(number, message, tail)
                    if isinstance(message, _WAITED_FOR):
                        acknowledge = 0.0
            except TimeoutError:
                continue
            self.heard = time.monotonic()
            if acknowledge == inf and self._sequence.owes:
                acknowledge = self.heard + _ACKNOWLEDGE_AFTER
            if self.heard - begun > _USEFUL_AFTER:
                self._patience.progress()

    def _check_stopped(self) -> None:
        with self._lock:
            if self._stopped:
                raise MachineLost("the session is closed")

    def _take(self, number: int, message: AgentMessage, tail: bytes) -> None:
        if bool(number) == isinstance(message, _NOT_COUNTED):
            raise ProtocolBroken(f"a {type(message).__name__} came with the number {number}")
        if not number:
            self._listener.take(message, tail)
            return
        if self._sequence.is_new(number):
            settled = self._listener.take(message, tail)
            self._patience.progress()
            with self._lock:
                self._sequence.apply(number, settled=settled)
