"""`OutputFile`: what a script of prepare or finish leaves in a sink, its output and nothing else."""

import logging

from atex_sut_agent.protocol import (
    Again,
    Clock,
    FileChunk,
    Lengths,
    Marked,
    Output,
    Results,
    RunMessage,
    TestAdded,
)

from atex_executor.errors import ProtocolBroken
from atex_executor.masking import Mask
from atex_executor.sink import Sink
from atex_executor.wishes import TOO_MANY, Bounds, OnMark, ignore_mark

TAIL_LINES = 10  # of the end of what a script printed
TAIL_CHARACTERS = 2000  # the same
KEPT = 16 << 10  # bytes; more than is shown, so that a secret is whole when it is masked

_log = logging.getLogger(__name__)


class OutputFile:
    """Appends the output of one script after the other to the file `path` of `sink`.

    Results that a phase sends have no test that they could belong to: they are dropped, with one warning, and so are
    further runs of tests that it asks for. `on_mark` takes the marks that it leaves on the machine.
    Not thread-safe: one thread at a time.
    """

    def __init__(self, sink: Sink, path: str, on_mark: OnMark = ignore_mark) -> None:
        self.path = path
        self._on_mark = on_mark
        self._sink = sink
        self._begin = 0  # where the output of the present script begins
        self._length = 0  # of all
        self._end = b""  # of the output of the present script
        self._results = 0  # of the present script
        self._bounds = Bounds()  # the same
        self._warned = False

    def tail(self, mask: Mask) -> tuple[str, ...]:
        """Return the last lines that the present script printed, without secrets.

        They are few, and whole but for one that is very long.
        """
        lines = self._end.decode("utf-8", "replace").splitlines()
        if len(self._end) < KEPT:
            masked = [mask(line) for line in lines]
        else:
            masked = [mask(line) for line in lines[1:]] or [mask.end_of_line(lines[0])]
        shown = masked[-TAIL_LINES:]
        while len(shown) > 1 and sum(map(len, shown)) > TAIL_CHARACTERS:
            del shown[0]
        return tuple(line[-TAIL_CHARACTERS:] for line in shown)

    def next_script(self) -> None:
        """Another script begins; its offsets count from here."""
        self._begin = self._length
        self._end = b""
        self._results = 0
        self._bounds = Bounds()
        self._sink.output(self.path, self._length, b"")

    def apply(self, message: RunMessage, tail: bytes) -> None:
        """Write down what one message of this script's run says. Raises ProtocolBroken and SinkError."""
        match message:
            case Output():
                if self._begin + message.offset != self._length:
                    raise ProtocolBroken(
                        f"output came for offset {message.offset}, that is not where it ended"
                    )
                self._sink.output(self.path, self._length, tail)
                self._length += len(tail)
                self._end = (self._end + tail[-KEPT:])[-KEPT:]
            case Results():
                self._results = message.first - 1 + tail.count(b"\n")
                self._warn_of_results()
            case FileChunk() | TestAdded():
                self._warn_of_results()
            case Marked():
                if not self._bounds.admit_mark(message):
                    raise ProtocolBroken(TOO_MANY)
                self._on_mark(message.name, message.value)

    def again(self, clock: Clock, *, incarnation: str) -> tuple[tuple[Lengths, ...], Again]:
        """Say where the present script goes on that starts again after a restart."""
        output = self._length - self._begin
        return (), Again(clock=clock, results=self._results, output=output)

    def _warn_of_results(self) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("%s: what a phase reports belongs to no test and is dropped", self.path)
