"""What must hold of the folder of every run that came to its end, whatever happened to machines and hosts meanwhile.

`audit()` compares the books with each other: each attempt has one final record, each start its finish, no machine had
two tests at once. What tests sent is not known here, nor what their verdicts should be.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from atex_orchestrator.events import (
    MachineExpired,
    MachineFailed,
    MachineFreed,
    MachineReady,
    MachineReleased,
    MachineRequested,
    OfWorker,
    RunEnded,
    RunStarted,
    TestAdded,
    TestFinished,
    TestStarted,
)
from atex_orchestrator.results import read_events, read_records, read_run

Record = dict[str, Any]
Attempt = tuple[str, int, int]  # platform, serial, number

ENOUGH = 20  # findings; more are of the same kind


def audit(folder: Path, *, host: Callable[[str], str] = str) -> list[str]:
    """Return what is wrong with the books of a run, a line each; nothing if nothing is.

    `host` makes of the name of a machine that of the host behind it: one that was reserved again has another name.
    """
    books = _Books(folder)
    found = [
        *_end(books),
        *_lines(books),
        *_finals(books),
        *_workers(books),
        *_starts(books),
        *_records(books),
        *_hosts(books, host),
    ]
    more = len(found) - ENOUGH
    return found if more <= 0 else [*found[:ENOUGH], f"and {more} more"]


class _Books:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.info = read_run(folder)
        self.records = list(read_records(folder))
        self.finals = [record for record in self.records if record.get("final")]
        self.events = list(read_events(folder))

    def attempt(self, record: Record) -> Attempt:
        return *self.info.key(record["platform"], record["serial"]), record["attempt"]

    def attempt_of(self, event: TestStarted | TestFinished) -> Attempt:
        return *self.info.key(event.platform, event.serial), event.attempt


def _end(books: _Books) -> Iterator[str]:
    if books.info.ended is None:
        yield "run.json: has no end"
    journal = books.folder / "partial.jsonl"
    if journal.exists() and journal.read_bytes():
        yield "partial.jsonl: attempts are open"
    if not isinstance(books.events[0], RunStarted):
        yield "events.jsonl: does not begin with the start of the run"
    if not isinstance(books.events[-1], RunEnded):
        yield "events.jsonl: does not end with the end of the run"


def _lines(books: _Books) -> Iterator[str]:
    """Each result once and before the final record of its attempt; each file once, and there."""
    closed: set[Attempt] = set()
    numbers: set[tuple[Attempt, int]] = set()
    listed: set[str] = set()
    for record in books.records:
        attempt = books.attempt(record)
        if attempt in closed:
            yield f"{_words(attempt)}: a record after the final one: {record}"
        if record.get("final"):
            closed.add(attempt)
        elif (attempt, record["n"]) in numbers:
            yield f"{_words(attempt)}: recorded twice: {record}"
        else:
            numbers.add((attempt, record["n"]))
        for file in record.get("files", ()):
            if file in listed:
                yield f"{_words(attempt)}: {file} is listed twice"
            if not (books.folder / "files" / file).is_file():
                yield f"{_words(attempt)}: {file} is not there"
            listed.add(file)
    for attempt in {attempt for attempt, _ in numbers} - closed:
        yield f"{_words(attempt)}: has results and no final record"


def _finals(books: _Books) -> Iterator[str]:
    """Each test has attempts 1, 2, 3 ..., in this order."""
    names = {(platform, serial): name for platform, serial, name in books.info.tests()}
    added = [event for event in books.events if isinstance(event, TestAdded)]
    for event in added:
        if (event.platform, event.serial) in names:
            yield f"{event.platform}, test {event.serial}: was added twice, or was there before"
        names[event.platform, event.serial] = event.test
    attempts = defaultdict(list)
    for record in books.finals:
        platform, serial, number = books.attempt(record)
        test = platform, serial
        attempts[test].append(number)
        if names.get(test, record["test"]) != record["test"]:
            yield f"{test}: is {names[test]}, and a record calls it {record['test']}"
    for test in names.keys() - attempts.keys():
        yield f"{test}: has no final record"
    for test, numbers in attempts.items():
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"{test}: has the final records of its attempts {numbers}"


def _workers(books: _Books) -> Iterator[str]:
    """Each begins with the request, ends with the release, and has one test at a time while it is ready."""
    workers: defaultdict[int, _Worker] = defaultdict(_Worker)
    for event in books.events:
        if isinstance(event, OfWorker):
            for words in workers[event.worker].take(event):
                yield f"worker {event.worker}: {words}: {event}"
    for number, worker in workers.items():
        if not isinstance(worker.last, MachineReleased | MachineFreed):
            yield f"worker {number}: was never released; its last: {worker.last}"


class _Worker:
    def __init__(self) -> None:
        self.last: OfWorker | None = None
        self._ready = False
        self._running: TestStarted | None = None

    def take(self, event: OfWorker) -> Iterator[str]:
        """Yield what is wrong with it, in words."""
        if not _follows(event, self.last):
            yield f"out of turn, after {self.last}"
        self.last = event
        match event:
            case MachineReady():
                self._ready = True
            case MachineFailed() | MachineExpired():
                self._ready = False
            case TestStarted():
                if not self._ready or self._running:
                    yield "it is not ready and free"
                self._running = event
            case TestFinished():
                if self._running is None or _attempt(self._running) != _attempt(event):
                    yield "it runs no such thing"
                self._running = None
            case MachineReleased() if self._running:
                yield f"it runs {self._running.test}"


def _follows(event: OfWorker, last: OfWorker | None) -> bool:
    """Nothing follows the release, but that what was held then was freed at the end of the run."""
    if isinstance(last, MachineReleased):
        return isinstance(event, MachineFreed) and last.held is not None
    if isinstance(last, MachineFreed) or isinstance(event, MachineFreed):
        return False
    return (last is None) == isinstance(event, MachineRequested)


def _starts(books: _Books) -> Iterator[str]:
    """Each attempt is started once, after the one before it is finished, and finished."""
    started: set[Attempt] = set()
    finished: set[Attempt] = set()
    for event in books.events:
        if isinstance(event, TestStarted):
            platform, serial, number = attempt = books.attempt_of(event)
            before = platform, serial, number - 1
            if attempt in started:
                yield f"{_words(attempt)}: was started twice"
            if before in started and before not in finished:
                yield f"{_words(attempt)}: was started before the last attempt was finished"
            started.add(attempt)
        elif isinstance(event, TestFinished):
            finished.add(books.attempt_of(event))
    for attempt in started - finished:
        yield f"{_words(attempt)}: was started and never finished"


def _records(books: _Books) -> Iterator[str]:
    """The final record of an attempt says what its finish says; without one it was not started."""
    finished = {
        books.attempt_of(event): event for event in books.events if isinstance(event, TestFinished)
    }
    records = {books.attempt(record): record for record in books.finals}
    for attempt, event in finished.items():
        if attempt not in records:
            yield f"{_words(attempt)}: was finished and has no final record"
        elif records[attempt]["status"] != event.status:
            yield f"{_words(attempt)}: was finished so: {event}; its record: {records[attempt]}"
    for attempt, record in records.items():
        ran = "machine" in record or record["status"] not in ("infra", "skip")
        if ran and attempt not in finished:
            yield f"{_words(attempt)}: was never finished, and has this record: {record}"


def _hosts(books: _Books, host: Callable[[str], str]) -> Iterator[str]:
    """No host has two tests at once, by whatever name."""
    busy: dict[str, TestStarted] = {}
    for event in books.events:
        if isinstance(event, TestStarted):
            name = host(event.machine)
            if name in busy:
                yield f"{name}: runs {_words(books.attempt_of(busy[name]))} and: {event}"
            busy[name] = event
        elif isinstance(event, TestFinished):
            busy.pop(host(event.machine), None)


def _attempt(event: TestStarted | TestFinished) -> Attempt:
    return event.platform, event.serial, event.attempt


def _words(attempt: Attempt) -> str:
    platform, serial, number = attempt
    return f"{platform}, test {serial}, attempt {number}"
