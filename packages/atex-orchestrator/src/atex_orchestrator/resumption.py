"""A run whose process was killed, or that was stopped, goes on: what is done before its first test is started.

Another kill at any moment here leaves a folder of which all is read again: what is done is written down before it is
relied upon, and once only.
"""

import msgspec
from atex_executor import Sink, close_attempt, unstarted_record
from atex_executor.records import readable
from atex_fmf import Test
from atex_provision import Holder, LeaseJournal

from atex_orchestrator.added_tests import AddedTests
from atex_orchestrator.asked import Asked
from atex_orchestrator.chronicle import Chronicle
from atex_orchestrator.errors import SetupError
from atex_orchestrator.events import RunResumed, TestFinished
from atex_orchestrator.heritage import Estate, Heritage
from atex_orchestrator.history import AttemptId, Unfinished, read_history
from atex_orchestrator.results import ANY, FinalRecord, RunFolder, RunInfo
from atex_orchestrator.scheduling import Scheduler
from atex_orchestrator.unstarted import Unstarted


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
        self._folder = folder
        self._added: AddedTests | None = None
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
        for (platform, serial, attempt), unfinished in self.history.unfinished.items():
            for asked in unfinished.left.added if unfinished.left is not None else ():
                if (platform, serial, attempt, asked.number) not in known:
                    event = added.add(
                        asked,
                        worker=unfinished.worker or 0,
                        platform=platform,
                        by=self._find(platform, serial),
                        attempt=attempt,
                    )
                    chronicle.hand_on(event)

    def begin(
        self, scheduler: Scheduler, sink: Sink, chronicle: Chronicle, unstarted: Unstarted
    ) -> list[Heritage]:
        """Say what was not said, close what can not go on, restore the rest; return the machines that are taken over.

        Raises SinkError, OSError.
        """
        history, info = self.history, self._folder.info
        info.ended = info.stopped = None
        self._folder.write_info()
        for event in history.unsaid:
            chronicle.tell(event)
        tests = len(self._tests) + len(history.added)
        chronicle.tell(RunResumed(tests=tests, holder=Holder.myself()))
        for kept in self._estate.kept():
            history.keeping.add(kept.platform)
            chronicle.tell(kept)
        heirs = self._estate.claim(self._find)
        for attempt, unfinished in history.unfinished.items():
            self._close(attempt, unfinished, sink, chronicle, unstarted)
        self._restore(scheduler, heirs)
        self._estate.give_back()
        return heirs

    def end(self, chronicle: Chronicle) -> None:
        """Wait until what was not taken over is given back, and say so."""
        for released in self._estate.released():
            chronicle.tell(released)

    def _restore(self, scheduler: Scheduler, heirs: list[Heritage]) -> None:
        for platform in self.history.keeping:
            scheduler.note_kept(platform)
        for (platform, serial), past in self.history.tests.items():
            scheduler.restore(
                platform, serial, past.finished, attempts=past.last, given_up=past.given_up
            )
        for heir in heirs:
            running = None if heir.left is None else (heir.left[0], heir.left[1].begun.attempt)
            scheduler.adopt(heir.worker, heir.pool, running)

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
        test = self._find(platform, serial)
        machine = self.history.machines.get(unfinished.worker or 0)
        where = "its machine" if machine is None or machine.machine is None else machine.machine
        note = f"atex was killed meanwhile, and {where} could not be used any more"
        if unfinished.left is None:
            record = unstarted_record(test, platform, "infra", note, number)
            sink.records([record])
        else:
            record = close_attempt(sink, unfinished.left, note)
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

    def _find(self, platform: str, serial: int) -> Test:
        test = self._tests.get(self._folder.info.key(platform, serial))
        if test is None and self._added is not None:
            return self._added.test(platform, serial)
        if test is None:
            raise KeyError((platform, serial))
        return test
