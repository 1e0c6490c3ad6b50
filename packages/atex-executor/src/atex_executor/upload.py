"""Brings a pack to a machine: names it where the machine has it already, else sends it (docs/protocol.md, "The trees").

Where the machine keeps no pack at all, it gets the beginning while the rest is still being read.
"""

import contextlib
import time

from atex_provision import Channel, ConnectionLost

from atex_executor.errors import UploadFailed
from atex_executor.pack import Pack

_STALL_LIMIT = 60.0  # seconds for each piece (1.1 KiB/s are enough), and until the next sign
_LONGEST = 3600.0  # seconds for the machine to unpack a pack
_MOST_SAID = 64 << 10  # bytes before an answer
_RECEIVE = 4096  # bytes


class _Silent(Exception):
    """The machine takes no more or says no more."""


class Upload:
    """One pack on its way to one machine. `channel` runs `unpack_command`; `machine` is for messages."""

    def __init__(self, channel: Channel, pack: Pack, machine: str) -> None:
        self._channel = channel
        self._reader = pack.reader()
        self._machine = machine
        self._heard = b""

    def run(self) -> None:
        """Return when the trees are there. Raises UploadFailed, PackFailed among them, and ConnectionLost."""
        try:
            if not self._name_it():
                self._send_it()
        except (_Silent, ConnectionLost, TimeoutError) as error:
            reason = self._reason()
            if reason is None:
                raise ConnectionLost(f"{self._machine}: lost while the tree was sent") from error
            raise UploadFailed(f"{self._machine}: {reason}") from error

    def give_up(self) -> None:
        """End `run()`, which raises. Any thread."""
        self._reader.give_up()
        self._channel.close()

    def _name_it(self) -> bool:
        """Return whether the machine made the trees of a pack that it had."""
        kept = self._answer().split()[1:]
        if not kept or self._reader.digest() not in kept:
            return False
        self._say(self._reader.digest())
        return self._answer() == "ok"

    def _send_it(self) -> None:
        self._say("new")
        for block in self._reader.blocks():
            self._channel.send(block, _STALL_LIMIT)
        self._channel.close_stdin()
        if self._answer() != "ok":
            raise _Silent

    def _say(self, word: str) -> None:
        self._channel.send(f"{word}\n".encode(), _STALL_LIMIT)

    def _answer(self) -> str:
        """Return the next line that is an answer: `ok`, or `packs` and what follows it.

        What a login prints, and that the machine is busy, is none.
        """
        deadline = time.monotonic() + _LONGEST
        said = 0
        while said < _MOST_SAID and time.monotonic() < deadline:
            line, end, rest = self._heard.partition(b"\n")
            if end:
                self._heard = rest
                words = line.decode("ascii", "replace").strip()
                if words == "ok" or words.split()[:1] == ["packs"]:
                    return words
                continue
            data = self._channel.receive(_RECEIVE, _STALL_LIMIT)
            if not data:
                raise _Silent
            self._heard += data
            said += len(data)
        raise UploadFailed(f"{self._machine}: something else answers than what unpacks the tree")

    def _reason(self) -> str | None:
        """Return why the machine's end of it failed; None where nothing is heard of it any more."""
        with contextlib.suppress(ConnectionLost, TimeoutError):
            code = self._channel.wait(_STALL_LIMIT)
            said = self._channel.stderr_tail().decode("utf-8", "replace").strip()
            said = said[-1000:] or f"exit code {code}"
            return f"the tree can not be stored there: {said}"
        return None
