"""What the host is told of one run: its frames, in the order in which things happened."""

from .outbox import Outbox

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from typing import Any


class Report:
    """Frames about run `run`, each of which says where it lands: so it counts results and bytes of output.

    It goes on from the `results` and bytes of `output` that the run has sent before it was started again.
    """

    def __init__(self, outbox: Outbox, run: int, results: int = 0, output: int = 0) -> None:
        self._outbox = outbox
        self._run = run
        self._results = results  # sent in frames
        self._output = output  # bytes
        self._lines: "list[bytes]" = []  # results that are in no frame yet
        self._line_count = 0

    @property
    def full(self) -> bool:
        """Is so much unacknowledged that the test has to wait?"""
        return self._outbox.full

    def is_last(self, frame: int) -> bool:
        """Has nothing been told since this frame?"""
        return frame == self._outbox.next_number - 1 and not self._line_count

    def send(self, kind: str, tail: bytes = b"", **fields: "Any") -> int:
        """Send a frame behind all that was told before; return its number."""
        self.flush()
        head = {"kind": kind, "run": self._run}
        head.update(fields)
        return self._outbox.add(head, tail)

    def output(self, data: bytes) -> None:
        """The next bytes of its output."""
        self.send("output", data, offset=self._output)
        self._output += len(data)

    def results(self, lines: bytes, count: int) -> None:
        """Its next `count` results, a line of JSON each. They are sent with the next frame, or by `flush()`."""
        self._lines.append(lines)
        self._line_count += count

    def result_with_files(self, line: bytes, before: "list[int | None]") -> None:
        """Its next result, whose files were sent before it; `before` is what protocol.Results says of them."""
        self.flush()
        self._send_results(line, 1, before=before)

    def flush(self) -> None:
        """Send the results that wait."""
        if self._line_count:
            lines, count = b"".join(self._lines), self._line_count
            self._lines.clear()
            self._line_count = 0
            self._send_results(lines, count)

    def _send_results(self, lines: bytes, count: int, **fields: "Any") -> None:
        head = {"kind": "results", "run": self._run, "first": self._results + 1}
        head.update(fields)
        self._outbox.add(head, lines)
        self._results += count
