"""`Recorder`: what one attempt at a test leaves in a sink.

It takes the agent's messages in the order of their numbers, each once (the session sees to that), and believes none of
them: the machine under test may be anybody's. What no agent sends raises ProtocolBroken. Another process may go on with
an attempt whose process was killed: then messages may come again from any point on, and what they say is there once.

Not thread-safe: one thread at a time (the session again).
"""

import logging
import time
from collections.abc import Container
from itertools import chain
from typing import Any

import msgspec
from atex_sut_agent.protocol import (
    Again,
    Clock,
    Cut,
    Dropped,
    FileChunk,
    Lengths,
    Marked,
    Noted,
    Output,
    Restarting,
    Results,
    RunMessage,
    Sync,
    TestAdded,
)
from atex_sut_agent.sut.files import cuts_by_frame

from atex_executor.ending import Ending
from atex_executor.errors import ProtocolBroken, SinkError
from atex_executor.journal import (
    Announced,
    Attempt,
    Closed,
    Fault,
    Held,
    Journal,
    Listed,
    Restarted,
)
from atex_executor.layout import output_file, result_file
from atex_executor.masking import Mask
from atex_executor.records import final_record
from atex_executor.result_files import ResultFiles
from atex_executor.result_lines import ResultLines
from atex_executor.resume import OpenAttempt
from atex_executor.sink import Sink
from atex_executor.verdict import judge
from atex_executor.wishes import OnAddTest, OnMark, Wishes, ignore_addtest, ignore_mark

_MAX_REMARKS = 100  # in the log, of one run
_MAX_SAVED = 10_000  # times on the stack of `duration save`
_LONGEST_TIME = 1e12  # seconds
_NO_SECRETS = Mask(())

_log = logging.getLogger(__name__)


class Recorder:
    """Records an attempt into `sink`: a new one, or an open one that another process began.

    `apply()` while it runs, `again()` where the test is started again, then `close()` once.
    """

    def __init__(
        self,
        sink: Sink,
        attempt: Attempt | OpenAttempt,
        *,
        tests: Container[str] = (),
        mask: Mask = _NO_SECRETS,
        on_mark: OnMark = ignore_mark,
        on_addtest: OnAddTest = ignore_addtest,
    ) -> None:
        """Begin or take up the attempt. Raises SinkError.

        `tests`: names of those that the test may add; `mask` knows what their variables may not have.
        `on_mark` and `on_addtest` are called by `apply()`, after the journal has it, and must not raise; of an open
        attempt, with what its journal does not have.
        """
        known = attempt if isinstance(attempt, OpenAttempt) else OpenAttempt(attempt, resumed=False)
        self._sink = sink
        self._attempt = known
        self._journal = Journal(sink, known.begun.folder)
        self._output = output_file(known.begun.folder)
        self._output_length = 0
        self._fault = known.fault  # the first thing the test did wrong that only the host can see
        self._files = ResultFiles(sink, self._journal, known, self._output, self._fail)
        self._results = ResultLines(sink, self._journal, known, self._files, self._fail)
        self._wishes = Wishes(
            self._journal,
            known,
            tests=tests,
            mask=mask,
            on_mark=on_mark,
            on_addtest=on_addtest,
            fail=self._fail,
        )
        self._remarks = 0
        if known.resumed:
            self._output_length = sink.length(self._output) or 0
            self._journal.add(*(Closed(name=name) for name in known.closed))
        else:
            self._journal.add(known.begun)

    def apply(self, message: RunMessage, tail: bytes) -> None:
        """Write down what one message of this run says: when this returns, it may be acknowledged.

        Raises ProtocolBroken and SinkError.
        """
        match message:
            case Results():
                self._results.take(message, tail)
            case Output():
                self._take_output(message.offset, tail)
            case FileChunk():
                self._files.chunk(message.name, message.file, message.offset, message.before, tail)
            case Dropped():
                self._files.drop(message.cuts)
                self._remark(message.note)
            case Noted():
                self._remark(message.note)
            case Marked():
                self._wishes.mark(message)
            case TestAdded():
                self._wishes.add(message)
            case Sync():
                self._sink.sync()
            case Restarting():
                self._announce(message)

    def again(self, clock: Clock, *, incarnation: str) -> tuple[list[Lengths], Again]:
        """The test is started again by another incarnation of the agent: return what that has to know, and journal it.

        `clock` is to have the time away in it. Raises SinkError.
        """
        self._cut_back()
        attempt = self._attempt
        attempt.restarts += 1
        self._journal.add(Restarted(number=attempt.restarts, incarnation=incarnation))
        again = Again(
            clock=clock,
            results=self._results.count,
            output=self._output_length,
            added=self._wishes.added,
        )
        lengths, _ = self._listed()
        frames = cuts_by_frame([(*key, length) for key, length in lengths.items()])
        return [Lengths(files=tuple(Cut(**cut) for cut in cuts)) for cuts in frames], again

    def close(self, ending: Ending, *, seconds: float) -> dict[str, Any]:
        """Write the final record and return it: the run ended so, and took `seconds`. Nothing is open any more.

        Raises SinkError where the record can not be written, or what is held: then the attempt stays open.
        """
        try:
            self._cut_back()
            if not self._output_length:
                self._sink.output(self._output, 0, b"")
        except SinkError as error:
            ending = Ending(ended_by="infra", note=str(error), exit_code=ending.exit_code)
        self._results.release_all()
        own = self._results.held.own
        ending = msgspec.structs.replace(ending, error=ending.error or self._fault)
        verdict = judge(ending, own.status, own.note)
        record = final_record(
            self._attempt.begun.head,
            machine=self._attempt.begun.machine,
            started=self._attempt.begun.started,
            seconds=seconds,
            exit_code=verdict.exit_code,
            status=verdict.status,
            note=verdict.note,
            files=[self._output, *own.files],
            others=own.others,
        )
        self._sink.records([record])
        self._journal.forget()
        return record

    def _take_output(self, offset: int, data: bytes) -> None:
        length = self._output_length
        if offset != length and not (self._attempt.resumed and 0 <= offset < length):
            raise ProtocolBroken(f"output came for offset {offset}, there are {length} bytes")
        new = data[length - offset :]
        if new:
            self._sink.output(self._output, length, new)
            self._output_length += len(new)

    def _announce(self, message: Restarting) -> None:
        clock, patience = message.clock, message.patience
        times = [clock.used, clock.limit, patience or 0.0, *chain(*clock.saved)]
        if len(clock.saved) > _MAX_SAVED or not all(0 <= time <= _LONGEST_TIME for time in times):
            raise ProtocolBroken("a restart was announced with times that can not be")
        self._journal.add(
            Announced(
                clock=clock,
                patience=patience,
                at=time.time(),
                results=self._results.count,
            )
        )
        self._sink.sync()

    # Files of an attempt that goes on -----------------------------------------------------------------------

    def _cut_back(self) -> None:
        """Bring the files to what they are without results that stay unfinished."""
        self._files.drop_all()
        if (
            self._attempt.resumed
        ):  # and those of which the process that was killed saw only the beginning
            lengths, links = self._listed()
            folder = self._attempt.begun.folder
            known = {result_file(folder, *key): length for key, length in lengths.items()}
            keep = {self._output, *(result_file(folder, *key) for key in links)}
            for path in self._sink.files(folder):
                if path not in keep:
                    self._files.cut(path, known.get(path))

    def _listed(self) -> tuple[dict[tuple[str, str], int], set[tuple[str, str]]]:
        """Return the lengths of the files that results have, and the names that they gave to the output."""
        lengths, links = {}, set()
        for line in self._journal.lines():
            if isinstance(line, Held | Listed) and line.n <= self._results.count:
                lengths.update({(line.name, file): size for file, size in line.lengths.items()})
                if line.link is not None:
                    links.add((line.name, line.link))
        return lengths, links

    # What went wrong, and the log -----------------------------------------------------------------------------

    def _fail(self, reason: str) -> None:
        if self._fault is None:
            self._fault = reason
            self._journal.add(Fault(reason=reason))

    def _remark(self, note: str) -> None:
        self._remarks += 1
        if self._remarks <= _MAX_REMARKS:
            _log.info("%s: %.500r", self._attempt.begun.test, note)
