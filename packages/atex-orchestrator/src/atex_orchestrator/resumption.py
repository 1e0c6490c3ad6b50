"""A run whose process was killed, or that was stopped, goes on: what is done before its first test is started.

Another kill at any moment here leaves a folder of which all is read again: what is done is written down before it is
relied upon, and once only.
"""

import logging

import msgspec
from atex_executor import Sink, SinkError, close_attempt, unstarted_record
from atex_executor.records import readable
from atex_fmf import Test
from atex_provision import Holder, LeaseJournal

from atex_orchestrator.added_tests import AddedTests
from atex_orchestrator.asked import Asked
from atex_orchestrator.chronicle import Chronicle
from atex_orchestrator.errors import FolderInUse, SetupError
from atex_orchestrator.events import RunResumed, TestFinished
from atex_orchestrator.faults import Faults
from atex_orchestrator.heritage import Estate, Heritage
from atex_orchestrator.history import AttemptId, Key, Unfinished, read_history
from atex_orchestrator.results import ANY, FinalRecord, RunFolder, RunInfo
from atex_orchestrator.scheduling import Scheduler
from atex_orchestrator.unstarted import LeftOpen, Unstarted

_log = logging.getLogger(__name__)


def check_same(folder: RunFolder, asked: RunInfo) -> None:
    """Raise SetupError unless the run in `folder` has something left to do, and the tests that are `asked` for."""
    info = folder.info
    if info.ended is not None and info.stopped is None:
        raise SetupError(
            f"the run in {folder.path} ended at {info.ended}: there is nothing to resume"
        )
    before = {(platform, serial): name for platform, serial, name in info.tests()}
    now = {(platform, serial): readable(name) for platform, serial, name in asked.tests()}
    for key, name in before.items():
        if now.get(key) != name:
            there = (
                f"there is {now[key]} in its place" if key in now else "it is not there any more"
            )
            raise SetupError(
                f"{folder.path} is a run of other tests: {name} was number {key[1]} of platform {key[0]}, and {there}"
            )
    for key in now.keys() - before.keys():
        raise SetupError(
            f"{folder.path} is a run of other tests: {now[key]} of platform {key[0]} was not among them"
        )


class Resumption:
    """What becomes of the past of a run. For the run's owner thread."""

    def __init__(self, folder: RunFolder, asked: Asked) -> None:
        """Read it; nothing is changed yet. Raises OSError, JournalError."""
        self.history = read_history(folder.path, folder.info)
        self._estate = Estate(self.history, asked.pools, LeaseJournal())
        self._kept = list(self._estate.kept())
        self.history.keeping.update(kept.platform for kept in self._kept)
        self._folder = folder
        self._added: AddedTests | None = None
        self._unknown: set[Key] = set()  # tests that were added; a power cut took how
        suites = {name: suite.tests for name, suite in asked.suites.items()}
        self._tests = {
            (name, test.serial): test
            for name, tests in {**suites, ANY: asked.anywhere}.items()
            for test in tests
        }

    def take_added(self, added: AddedTests, chronicle: Chronicle) -> None:
        """Note the tests that running ones asked for; and write down those of which the kill left a request only."""
        for event in self.history.added:
            added.take(event)
        known = {
            (event.platform, event.by_serial, event.by_attempt, event.number)
            for event in self.history.added
        }
        self._added = added
        for platform, serial in self.history.tests:
            if self._find(platform, serial) is None:
                _log.warning(
                    "%s %d was added, and how is lost: it stays as it is", platform, serial
                )
                self._unknown.add((platform, serial))
                added.skip(platform, serial)
        for (platform, serial, attempt), unfinished in self.history.unfinished.items():
            by = self._find(platform, serial)
            if unfinished.left is None or by is None:
                continue
            for asked in unfinished.left.added:
                if (platform, serial, attempt, asked.number) not in known:
                    event = added.add(
                        asked,
                        worker=unfinished.worker or 0,
                        platform=platform,
                        by=by,
                        attempt=attempt,
                    )
                    chronicle.hand_on(event)

    def restore(self, scheduler: Scheduler) -> None:
        """Let it know what became of the tests. Raises what the policy raises."""
        for platform in self.history.keeping:
            scheduler.note_kept(platform)
        for (platform, serial), past in self.history.tests.items():
            if (platform, serial) not in self._unknown:
                scheduler.restore(
                    platform, serial, past.finished, attempts=past.last, given_up=past.given_up
                )

    def begin(self, chronicle: Chronicle) -> list[Heritage]:
        """Say what was not said; return the machines that are taken over, with what runs there.

        Whatever this raises, FolderInUse where the folder can not be written: all is as after another kill.
        """
        info = self._folder.info
        info.ended = info.stopped = None
        try:
            self._folder.write_info()
        except OSError as error:
            where = f"the run in {self._folder.path} can not be resumed: its folder"
            raise FolderInUse(f"{where} can not be written: {error.strerror}") from error
        for event in self.history.unsaid:
            chronicle.tell(event)
        tests = len(self._tests) + len(self.history.added)
        chronicle.tell(
            RunResumed(tests=tests, decided=self.history.verdicts, holder=Holder.myself())
        )
        for kept in self._kept:
            chronicle.tell(kept)
        return self._estate.claim(self._wanted)

    def close_rest(
        self, sink: Sink, chronicle: Chronicle, unstarted: Unstarted, faults: Faults
    ) -> None:
        """Close what can not go on and is not closed, and begin to give back what is not taken over."""
        for attempt, unfinished in list(self.history.unfinished.items()):
            try:
                self._close(attempt, unfinished, sink, chronicle, unstarted)
            except SinkError as error:
                faults.report(error)
        self._estate.give_back()

    def left_open(self) -> list[LeftOpen]:
        """Return the attempts that could not be closed."""
        return [
            LeftOpen(platform, self._test(platform, serial, unfinished.test), number)
            for (platform, serial, number), unfinished in self.history.unfinished.items()
        ]

    def end(self, chronicle: Chronicle) -> None:
        """Wait until what was not taken over is given back, and say so; after close_rest()."""
        for released in self._estate.released():
            chronicle.tell(released)

    def _close(
        self,
        attempt: AttemptId,
        unfinished: Unfinished,
        sink: Sink,
        chronicle: Chronicle,
        unstarted: Unstarted,
    ) -> None:
        """Write the record of an attempt that does not go on."""
        platform, serial, number = attempt
        test = self._test(platform, serial, unfinished.test)
        machine = self.history.machines.get(unfinished.worker or 0)
        where = "its machine" if machine is None or machine.machine is None else machine.machine
        aborted = self.history.test(platform, serial).aborted
        if unfinished.left is None:
            note = aborted or f"atex was killed when it was about to begin on {where}"
            record = unstarted_record(test, platform, "infra", note, number)
            sink.records([record])
        else:
            where = unfinished.left.begun.machine
            note = aborted or f"atex was killed meanwhile, and {where} was not taken over"
            record = close_attempt(sink, unfinished.left, note)
        del self.history.unfinished[attempt]
        if machine is not None:
            final = msgspec.convert(record, FinalRecord)
            chronicle.tell(
                TestFinished(
                    worker=machine.worker,
                    platform=platform,
                    machine=machine.machine or "",
                    test=test.name,
                    serial=serial,
                    attempt=number,
                    status="infra",
                    seconds=final.seconds or 0.0,
                    note=note,
                    unstarted=final.machine is None,
                )
            )
        unstarted.hand_out([(test, record)])

    def _test(self, platform: str, serial: int, name: str) -> Test:
        """Return a test; of one that is not known, what its records need."""
        return self._find(platform, serial) or Test(name=name, test="", serial=serial)

    def _wanted(self, platform: str, serial: int) -> Test | None:
        """Return a test that may go on where it runs."""
        aborted = self.history.test(platform, serial).aborted is not None
        return None if aborted else self._find(platform, serial)

    def _find(self, platform: str, serial: int) -> Test | None:
        test = self._tests.get(self._folder.info.key(platform, serial))
        if test is None and self._added is not None:
            return self._added.find(platform, serial)
        return test
