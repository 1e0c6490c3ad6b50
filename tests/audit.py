"""What must hold of the folder of every run that came to its end, whatever happened to machines and hosts meanwhile.

`audit()` compares the books with each other: each attempt has one final record, each start its finish, no machine had
two tests at once. What tests sent is not known here, nor what their verdicts should be.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from atex_orchestrator.events import (
    Event,
    MachineExpired,
    MachineFailed,
    MachineReady,
    MachineReleased,
    MachineRequested,
    OfWorker,
    RunEnded,
    RunStarted,
    TestFinished,
    TestStarted,
)
from atex_orchestrator.results import RunInfo, read_events, read_records, read_run

Record = dict[str, Any]
Attempt = tuple[str, int, int]  # platform, serial, number

ENOUGH = 20  # findings; more are of the same kind


def audit(folder: Path, *, host: Callable[[str], str] = str) -> list[str]:
    """Return what is wrong with the books of a run, a line each; nothing if nothing is.

    `host` makes of the name of a machine that of the host behind it: one that was reserved again has another name.
    """
    info = read_run(folder)
    records, events = list(read_records(folder)), list(read_events(folder))
    finals = [record for record in records if record.get("final")]
    found = [
        *_end(folder, info, events),
        *_lines(folder, records),
        *_finals(info, finals),
        *_workers(events),
        *_starts(events),
        *_records(events, finals),
        *_hosts(events, host),
    ]
    more = len(found) - ENOUGH
    return found if more <= 0 else [*found[:ENOUGH], f"and {more} more"]


def _end(folder: Path, info: RunInfo, events: list[Event]) -> Iterator[str]:
    if info.ended is None:
        yield "run.json: has no end"
    journal = folder / "partial.jsonl"
    if journal.exists() and journal.read_bytes():
        yield "partial.jsonl: attempts are open"
    if not events or not isinstance(events[0], RunStarted):
        yield "events.jsonl: does not begin with the start of the run"
    if not events or not isinstance(events[-1], RunEnded):
        yield "events.jsonl: does not end with the end of the run"


def _lines(folder: Path, records: list[Record]) -> Iterator[str]:
    """Each result once and before the final record of its attempt; each file once, and there."""
    closed: set[Attempt] = set()
    numbers: set[tuple[Attempt, int]] = set()
    listed: set[str] = set()
    for record in records:
        attempt = _attempt(record)
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
            if not (folder / "files" / file).is_file():
                yield f"{_words(attempt)}: {file} is not there"
            listed.add(file)
    for attempt in {attempt for attempt, _ in numbers} - closed:
        yield f"{_words(attempt)}: has results and no final record"


def _finals(info: RunInfo, finals: list[Record]) -> Iterator[str]:
    """Each test has attempts 1, 2, 3 ..., in this order."""
    names = {
        (platform.name, serial): name
        for platform in info.platforms
        for serial, name in platform.tests.items()
    }
    attempts = defaultdict(list)
    for record in finals:
        test = record["platform"], record["serial"]
        attempts[test].append(record["attempt"])
        if names.get(test, record["test"]) != record["test"]:
            yield f"{test}: is {names[test]}, and a record calls it {record['test']}"
    for test in names.keys() - attempts.keys():
        yield f"{test}: has no final record"
    for test, numbers in attempts.items():
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"{test}: has the final records of its attempts {numbers}"


def _workers(events: Iterable[Event]) -> Iterator[str]:
    """Each begins with the request, ends with the release, and has one test at a time while it is ready."""
    workers: defaultdict[int, _Worker] = defaultdict(_Worker)
    for event in events:
        if isinstance(event, OfWorker):
            for words in workers[event.worker].take(event):
                yield f"worker {event.worker}: {words}: {event}"
    for number, worker in workers.items():
        if not isinstance(worker.last, MachineReleased):
            yield f"worker {number}: was never released; its last: {worker.last}"


class _Worker:
    def __init__(self) -> None:
        self.last: OfWorker | None = None
        self._ready = False
        self._running: Attempt | None = None

    def take(self, event: OfWorker) -> Iterator[str]:
        """Yield what is wrong with it, in words."""
        if (self.last is None) != isinstance(event, MachineRequested):
            yield "out of turn"
        if isinstance(self.last, MachineReleased):
            yield "it was released before"
        self.last = event
        match event:
            case MachineReady():
                self._ready = True
            case MachineFailed() | MachineExpired():
                self._ready = False
            case TestStarted():
                if not self._ready or self._running:
                    yield "it is not ready and free"
                self._running = _attempt_of(event)
            case TestFinished():
                if self._running != _attempt_of(event):
                    yield "it runs no such thing"
                self._running = None
            case MachineReleased() if self._running:
                yield f"it runs {_words(self._running)}"


def _starts(events: Iterable[Event]) -> Iterator[str]:
    """Each attempt is started once, after the one before it is finished, and finished."""
    started: set[Attempt] = set()
    finished: set[Attempt] = set()
    for event in events:
        if isinstance(event, TestStarted):
            platform, serial, number = attempt = _attempt_of(event)
            before = platform, serial, number - 1
            if attempt in started:
                yield f"{_words(attempt)}: was started twice"
            if before in started and before not in finished:
                yield f"{_words(attempt)}: was started before the last attempt was finished"
            started.add(attempt)
        elif isinstance(event, TestFinished):
            finished.add(_attempt_of(event))
    for attempt in started - finished:
        yield f"{_words(attempt)}: was started and never finished"


def _records(events: Iterable[Event], finals: Iterable[Record]) -> Iterator[str]:
    """The final record of an attempt says what its finish says; without one it was not started."""
    finished = {_attempt_of(event): event for event in events if isinstance(event, TestFinished)}
    records = {_attempt(record): record for record in finals}
    for attempt, event in finished.items():
        if attempt not in records:
            yield f"{_words(attempt)}: was finished and has no final record"
        elif records[attempt]["status"] != event.status:
            yield f"{_words(attempt)}: was finished so: {event}; its record: {records[attempt]}"
    for attempt, record in records.items():
        ran = "machine" in record or record["status"] not in ("infra", "skip")
        if ran and attempt not in finished:
            yield f"{_words(attempt)}: was never finished, and has this record: {record}"


def _hosts(events: Iterable[Event], host: Callable[[str], str]) -> Iterator[str]:
    """No host has two tests at once, by whatever name."""
    busy: dict[str, TestStarted] = {}
    for event in events:
        if isinstance(event, TestStarted):
            name = host(event.machine)
            if name in busy:
                yield f"{name}: runs {_words(_attempt_of(busy[name]))} and: {event}"
            busy[name] = event
        elif isinstance(event, TestFinished):
            busy.pop(host(event.machine), None)


def _attempt(record: Record) -> Attempt:
    return record["platform"], record["serial"], record["attempt"]


def _attempt_of(event: TestStarted | TestFinished) -> Attempt:
    return event.platform, event.serial, event.attempt


def _words(attempt: Attempt) -> str:
    platform, serial, number = attempt
    return f"{platform}, test {serial}, attempt {number}"
