"""The checker of run folders finds what it is to find."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from atex_fmf import Suite, Test
from atex_orchestrator import Orchestrator
from atex_orchestrator.events import (
    Event,
    MachineFailed,
    MachineReady,
    MachineReleased,
    MachineRequested,
    MachineReserved,
    RunEnded,
    RunStarted,
    TestAdded,
    TestFinished,
    TestStarted,
)
from atex_provision import LocalProvisioner

from tests.audit import audit
from tests.orchestrator.run_folders import final, write_folder

Books = tuple[list[dict[str, Any]], list[Event]]


def started(worker: int, attempt: int = 1, machine: str = "") -> TestStarted:
    machine = machine or f"m{worker}"
    return TestStarted(
        worker=worker, platform="p", machine=machine, test="/t1", serial=1, attempt=attempt
    )


def finished(worker: int, status: str, attempt: int = 1, machine: str = "") -> TestFinished:
    began = msgspec.structs.asdict(started(worker, attempt, machine))
    return TestFinished(**began, status=status, seconds=0.1)


def added(serial: int) -> TestAdded:
    return TestAdded(
        worker=1, platform="p", test="/t1", serial=serial, by_serial=1, by_attempt=1, number=1
    )


def worker(number: int) -> list[Event]:
    """One that has no test yet."""
    machine = f"m{number}"
    return [
        MachineRequested(worker=number, platform="p", pool="p"),
        MachineReserved(worker=number, platform="p", machine=machine),
        MachineReady(worker=number, platform="p", machine=machine, session="0" * 32),
    ]


FAILED = MachineFailed(worker=1, platform="p", machine="m1", during="test", reason="it is gone")


def write(folder: Path, spoil: Callable[[Books], object]) -> Path:
    """Two machines come, one dies under the test, the other one runs it again; then `spoil` has its turn."""
    records = [
        {"test": "/t1", "platform": "p", "serial": 1, "attempt": 1, "n": 1, "status": "pass"},
        final(1, "infra", machine="m1"),
        final(1, "pass", machine="m2", attempt=2),
    ]
    events: list[Event] = [
        RunStarted(tests=1),
        *worker(1),
        started(1),
        *worker(2),
        FAILED,
        finished(1, "infra"),
        started(2, 2),
        finished(2, "pass", 2),
        MachineReleased(worker=1, platform="p", machine="m1"),
        MachineReleased(worker=2, platform="p", machine="m2"),
        RunEnded(),
    ]
    spoil((records, events))
    write_folder(folder, tests=["/t1"], records=records, events=events)
    info = msgspec.json.decode((folder / "run.json").read_bytes())
    (folder / "run.json").write_bytes(msgspec.json.encode({**info, "ended": "2026-11-20"}))
    return folder


def place(books: Books, event: Event) -> int:
    return next(n for n, one in enumerate(books[1]) if type(one) is type(event))


SPOILT: dict[str, tuple[Callable[[Books], object], str]] = {
    "no record": (lambda books: books[0].pop(), "attempt 2: was finished and has no final record"),
    "two records": (lambda books: books[0].append(books[0][-1]), "record after the final one"),
    "a gap": (
        lambda books: books[0][2].update(attempt=3),
        r"final records of its attempts \[1, 3\]",
    ),
    "another name": (lambda books: books[0][1].update(test="/t2"), "a record calls it /t2"),
    "a result twice": (lambda books: books[0].insert(1, books[0][0]), "recorded twice"),
    "a result too late": (
        lambda books: books[0].append({**books[0][0], "n": 2}),
        "after the final",
    ),
    "a file is missing": (lambda books: books[0][0].update(files=["p/a"]), "p/a is not there"),
    "another verdict": (
        lambda books: books[0][2].update(status="fail"),
        "finished so: .*its record: .*fail",
    ),
    "no start of the run": (lambda books: books[1].pop(0), "does not begin with"),
    "no end of the run": (lambda books: books[1].pop(), "does not end with"),
    "never released": (lambda books: books[1].pop(-2), "worker 2: was never released"),
    "never requested": (lambda books: books[1].pop(1), "worker 1: out of turn"),
    "not ready": (lambda books: books[1].pop(3), "worker 1: it is not ready"),
    "failed before": (lambda books: books[1].insert(4, FAILED), "worker 1: it is not ready"),
    "started twice": (lambda books: books[1].insert(4, started(1)), "was started twice"),
    "not finished": (
        lambda books: books[1].remove(books[1][place(books, finished(1, ""))]),
        "attempt 1: was started and never finished",
    ),
    "not started": (
        lambda books: books[1].remove(books[1][place(books, started(1))]),
        "it runs no such thing",
    ),
    "an added test is forgotten": (
        lambda books: books[1].insert(5, added(2)),
        r"\('p', 2\): has no final record",
    ),
    "an added test has a serial of another": (
        lambda books: books[1].insert(5, added(1)),
        "p, test 1: was added twice",
    ),
    "too early": (
        lambda books: books[1].insert(8, books[1].pop(10)),
        "attempt 2: was started before the last attempt was finished",
    ),
}


@pytest.mark.parametrize("what", SPOILT)
def test_what_is_wrong_is_found(what: str, tmp_path: Path) -> None:
    spoil, words = SPOILT[what]
    findings = "\n".join(audit(write(tmp_path, spoil)))
    assert re.search(words, findings), findings


def test_a_host_has_one_test_at_a_time(tmp_path: Path) -> None:
    def overlap(books: Books) -> None:
        books[1].insert(8, books[1].pop(10))

    folder = write(tmp_path, overlap)
    assert not any("runs p, test 1" in line for line in audit(folder))
    assert any("runs p, test 1" in line for line in audit(folder, host=lambda name: name[0]))


def test_nothing_is_wrong_where_a_machine_died(tmp_path: Path) -> None:
    assert audit(write(tmp_path, lambda books: None), host=lambda name: name[0]) == []


def test_a_run_that_goes_on_or_was_killed(tmp_path: Path) -> None:
    folder = write(tmp_path, lambda books: None)
    (folder / "partial.jsonl").write_text("[]\n")
    (folder / "run.json").write_text((folder / "run.json").read_text().replace("ended", "never"))
    assert audit(folder) == ["run.json: has no end", "partial.jsonl: attempts are open"]


def test_a_real_run(tmp_path: Path) -> None:
    tests = (Test(name="/t1", test="true"), Test(name="/t2", test="kill -9 $PPID; sleep 60"))
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.add_platform("p", Suite(root=str(tmp_path / "tree"), tests=tests))
    (tmp_path / "tree").mkdir()
    orchestrator.add_provisioner(LocalProvisioner, platform="p")
    orchestrator.run()
    assert audit(tmp_path / "run") == []
