"""The agent and the host, given the same ten thousand results, never disagree.

The whole way: a control file's door, the agent's frames, their bytes, the host's recorder. What the agent lets through
the host takes, and both read the same; what is valid the agent lets through, in either spelling.
"""

import json
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from atex_executor import FolderSink
from atex_executor.recorder import Recorder
from atex_sut_agent.protocol import FrameReader, Results, RunMessage, decode_agent_message
from atex_sut_agent.sut.clock import Limit
from atex_sut_agent.sut.control import MAX_LINE, Door
from atex_sut_agent.sut.lifetime import Lifetime
from atex_sut_agent.sut.loop import Loop
from atex_sut_agent.sut.outbox import Outbox
from atex_sut_agent.sut.report import Report
from atex_sut_agent.sut.results import GrammarError
from atex_sut_agent.sut.spool import Spool
from atex_sut_agent.sut.statements import Statements

from tests.executor.told import Told
from tests.sut_agent.generated import Generator
from tests.sut_agent.listening import TEST

BATCHES = 50
BATCH = 100  # results


class Machine:
    """A run of the agent, as far as its control file goes."""

    def __init__(self, folder: Path) -> None:
        loop = Loop()
        self._outbox = Outbox(1 << 30, Spool("/nowhere", 0))
        lifetime = Lifetime(loop, Limit(60, 0), 5, False, lambda: None)
        self._statements = Statements(
            loop, str(folder / "control"), TEST, Report(self._outbox, 1), lifetime
        )
        self._reader = FrameReader()

    def sends(self, stream: bytes) -> Iterator[tuple[int, bytes, bytes]]:
        """The frames of a client's stream; files have as many bytes as they need. Raises GrammarError behind them."""
        door = Door(self._statements)
        error = None
        try:
            door.feed(stream)
            while door.unfinished and 0 < door.passes < MAX_LINE:
                door.feed(b"f" * door.passes)
            door.end()
        except GrammarError as caught:
            error = caught
        self._statements.flush()
        yield from self._reader.feed(self._outbox.take(1 << 30))
        self._outbox.acknowledge(self._outbox.next_number)
        if error is not None:
            raise error

    def close(self) -> None:
        self._statements.doors.shut()


@pytest.mark.parametrize("hostile", [False, True])
def test_ten_thousand_results(
    hostile: bool, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    taken = 0
    with FolderSink(tmp_path / "run") as sink:
        for batch in range(BATCHES):
            chance = random.Random(batch)
            told = Told(sink, attempt=batch + 1, test=TEST)
            with closing(Machine(tmp_path_factory.mktemp("c"))) as machine:
                for _ in range(BATCH):
                    text = Generator(chance, hostile=hostile).result()
                    taken += pass_on(machine, told.recorder, text, valid=not hostile)
            told.ends()
    assert taken == 2 * BATCHES * BATCH or (hostile and taken > BATCHES * BATCH / 2)


def pass_on(machine: Machine, recorder: Recorder, text: bytes, *, valid: bool) -> int:
    """Send a result on its line and behind its length; return how often it was taken."""
    streams = [b"result %d\n%b" % (len(text), text)]
    on_a_line = text.strip(b" \t\r\n").replace(b"\n", b" ").replace(b"\r", b" ")
    if b"\n" not in text and text.startswith(b"{"):
        streams.append(b"result " + text + b"\n")
    elif valid:
        streams.append(b"result " + on_a_line + b"\n")
    taken = 0
    for stream in streams:
        lines = []
        try:
            for _, head, tail in machine.sends(stream):
                message = decode_agent_message(head)
                assert isinstance(message, RunMessage)
                recorder.apply(message, tail)
                if isinstance(message, Results):
                    lines.append(tail)
        except GrammarError:
            if valid:
                raise
        (decoded,) = [msgspec.json.decode(line) for line in lines] or [None]
        if decoded is not None:
            assert repr(decoded) == repr(json.loads(text))
            taken += 1
    assert taken in (0, len(streams)), text
    return taken
