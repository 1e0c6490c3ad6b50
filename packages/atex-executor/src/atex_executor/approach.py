"""How the agent of a session is reached: connect, attach, and wait where somebody else has the machine.

Threads: one at a time attaches; any may give up. `_changed` guards `_waits` and `_given_up`; nothing else is waited for
under it.
"""

import logging
import threading
import time
from collections.abc import Callable

from atex_provision import Connection
from atex_sut_agent import agent_archive

from atex_executor.attachment import Attachment, Launch, attach
from atex_executor.errors import AgentUnavailable, MachineBusy
from atex_executor.patience import Patience
from atex_executor.times import Times
from atex_executor.verdict import human_duration

_log = logging.getLogger(__name__)


class Approach:
    """The way to the agent of `session`. `on_busy` takes in words who has the machine, once."""

    def __init__(
        self,
        connection: Connection,
        session: str,
        launch: Launch,
        times: Times,
        on_busy: Callable[[str], None] | None,
    ) -> None:
        self._connection = connection
        self._session = session
        self._launch = launch
        self._times = times
        self._on_busy = on_busy
        self._changed = threading.Condition()
        self._waits = False
        self._given_up = False

    def attach(self) -> Attachment:
        """Connect, if that is needed, and attach.

        Raises AgentUnavailable, MachineBusy among them, CannotConnect, ProtocolBroken and ConnectionLost.
        """
        self._connection.connect()
        return self._attach()

    def attach_when_free(self) -> Attachment:
        """The same, but wait for a busy machine, within the patience or until somebody gives up."""
        begun = time.monotonic()
        busy = Patience(self._times.patience)
        while True:
            try:
                self._connection.connect()
                self._check_given_up()  # not before: who gives up may have closed what this connected again
                return self._attach()
            except MachineBusy as error:
                if not busy.counting:
                    self._tell(f"{error}; waiting for it up to {human_duration(busy.seconds)}")
                busy.lost(begun)
                delay = busy.next_try(time.monotonic(), begun + busy.seconds)
                if delay is None:
                    raise
                self._wait(delay)
                self._check_given_up()

    def give_up(self) -> bool:
        """No `attach_when_free()` waits or tries again any more; return whether one was waiting.

        One that attaches at this moment goes on as long as the connection does.
        """
        with self._changed:
            self._given_up = True
            self._changed.notify_all()
            return self._waits

    def _attach(self) -> Attachment:
        archive, limit = agent_archive(), self._times.handshake
        return attach(self._connection, archive, self._session, self._launch, limit)

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._waits = True
            self._changed.wait_for(lambda: self._given_up, seconds)
            self._waits = False

    def _check_given_up(self) -> None:
        with self._changed:
            if self._given_up:
                raise AgentUnavailable(f"{self._connection.name}: nobody waits for it any more")

    def _tell(self, words: str) -> None:
        _log.warning("%s", words)
        if self._on_busy is not None:
            self._on_busy(words)
