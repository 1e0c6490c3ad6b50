from pathlib import Path

import pytest
from atex_orchestrator import FolderUnreadable, last_lines, summarize
from atex_orchestrator.events import (
    MachineFailed,
    MachineReleased,
    MachineRequested,
    TestFinished,
)

from tests.orchestrator.run_folders import final, write_folder


def test_counts_and_the_failed_worst_first(tmp_path: Path) -> None:
    statuses = ["fail", "pass", "error", "warn", "skip", "infra", "pass"]
    records = [final(serial, status) for serial, status in enumerate(statuses, start=1)]
    summary = summarize(
        write_folder(tmp_path, tests=[f"/t{n}" for n in range(1, 8)], records=records)
    )
    assert summary.counts == {"fail": 1, "pass": 2, "error": 1, "warn": 1, "skip": 1, "infra": 1}
    assert [record.status for record in summary.failed] == ["error", "fail", "warn"]
    assert [record.serial for record in summary.infra] == [6]
    assert summary.missing == ()
    assert summary.tests == 7


def test_the_last_attempt_counts(tmp_path: Path) -> None:
    records = [final(1, "fail"), final(2, "pass"), final(1, "pass", attempt=2)]
    summary = summarize(write_folder(tmp_path, tests=["/t1", "/t2"], records=records))
    assert summary.counts == {"pass": 2}
    assert summary.failed == ()


def test_a_test_that_failed_and_then_passed_is_flaky(tmp_path: Path) -> None:
    statuses = {
        1: ["fail", "error", "pass"],
        2: ["fail", "fail"],
        3: ["infra", "pass"],
        4: ["warn", "infra", "info"],
        5: ["pass"],
        6: ["fail", "infra"],
    }
    records = [
        final(serial, status, attempt=attempt)
        for serial, words in statuses.items()
        for attempt, status in enumerate(words, start=1)
    ]
    names = [f"/t{serial}" for serial in statuses]
    summary = summarize(write_folder(tmp_path, tests=names, records=records))
    flaky = {
        one.passed.serial: [(record.attempt, record.status) for record in one.failed]
        for one in summary.flaky
    }
    assert flaky == {1: [(1, "fail"), (2, "error")], 4: [(1, "warn")]}
    assert [(record.serial, record.attempt) for record in summary.retried] == [(3, 1), (4, 2)]
    assert summary.counts == {"pass": 3, "info": 1, "fail": 1, "infra": 1}


def test_an_attempt_of_which_nobody_saw_the_end_is_recorded_late(tmp_path: Path) -> None:
    """And is no later one for that."""
    records = [
        final(1, "pass", attempt=3),
        final(2, "pass"),
        final(1, "infra", attempt=2),
        final(1, "fail", attempt=1),
    ]
    summary = summarize(write_folder(tmp_path, tests=["/t1", "/t2"], records=records))
    assert summary.counts == {"pass": 2}
    assert summary.infra == ()
    assert [(record.serial, record.attempt) for record in summary.retried] == [(1, 2)]
    [flaky] = summary.flaky
    assert (flaky.passed.attempt, [record.attempt for record in flaky.failed]) == (3, [1])


def test_what_was_not_started_on_purpose_is_skipped(tmp_path: Path) -> None:
    records = [final(1, "skip"), final(2, "skip", machine="m")]
    summary = summarize(write_folder(tmp_path, tests=["/t1", "/t2"], records=records))
    assert [record.serial for record in summary.skipped] == [1]
    assert summary.counts == {"skip": 2}


def test_subtests_decide_nothing(tmp_path: Path) -> None:
    subtest = {**final(1, "fail"), "name": '"final"'}
    del subtest["final"]
    summary = summarize(write_folder(tmp_path, tests=["/t1"], records=[subtest, final(1, "pass")]))
    assert summary.counts == {"pass": 1}


def test_what_has_no_record_is_missing(tmp_path: Path) -> None:
    summary = summarize(
        write_folder(tmp_path, tests=["/t1", "/t2", "/t3"], records=[final(2, "pass")])
    )
    assert summary.missing == (("p", 1, "/t1"), ("p", 3, "/t3"))
    assert summary.tests == 3


def test_a_torn_last_line_is_not_read(tmp_path: Path) -> None:
    whole = b'{"test":"/t1","platform":"p","serial":1,"attempt":1,"final":true,"status":"pass"}\n'
    summary = summarize(write_folder(tmp_path, tests=["/t1", "/t2"], records=whole + whole[:-1]))
    assert summary.counts == {"pass": 1}


@pytest.mark.parametrize(
    "junk",
    [b'\0\0\0"final"\n', b'{"final":true,"test":"\xc3"}\n', b'{"final":' + b"[" * 100_000 + b"\n"],
)
def test_a_line_that_is_none_is_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, junk: bytes
) -> None:
    whole = b'{"test":"/t1","platform":"p","serial":1,"attempt":1,"final":true,"status":"pass"}\n'
    summary = summarize(write_folder(tmp_path, tests=["/t1"], records=junk + whole))
    assert summary.counts == {"pass": 1}
    assert "results.jsonl, line 1 is skipped" in caplog.text


def test_machines_that_failed_and_what_that_cost(tmp_path: Path) -> None:
    lost = TestFinished(
        worker=2,
        platform="p",
        machine="b",
        test="/t1",
        serial=1,
        attempt=1,
        status="infra",
        seconds=1.0,
    )
    summary = summarize(
        write_folder(
            tmp_path,
            tests=["/t1"],
            events=[
                MachineRequested(worker=1, platform="p", pool="ssh:a"),
                MachineFailed(
                    worker=1, platform="p", machine=None, during="reserve", reason="a: refused"
                ),
                MachineReleased(worker=1, platform="p"),
                MachineRequested(worker=2, platform="p", pool="ssh:b"),
                MachineFailed(worker=2, platform="p", machine="b", during="test", reason="b: gone"),
                lost,
                MachineFailed(
                    worker=2, platform="p", machine="b", during="finish", reason="b: no time"
                ),
                MachineReleased(worker=2, platform="p", machine="b", left="unreachable"),
            ],
        )
    )
    [refused, gone, late] = summary.troubles
    assert (refused.machine, refused.during, refused.tests) == ("ssh:a", "reserve", ())
    assert (gone.machine, gone.during, gone.tests) == ("b", "test", ("/t1",))
    assert (late.machine, late.during, late.tests) == ("b", "finish", ())
    assert summary.left == {"b": "unreachable"}


def test_the_output_of_a_test(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path,
        tests=["/t1", "/t2"],
        records=[
            final(1, "fail", files=["p/t1/@1.1/a.log", "p/t1/@1.1/output.txt"]),
            final(2, "fail", files=["p/t2/@2.1/output.txt"]),
        ],
    )
    output = folder / "files/p/t1/@1.1/output.txt"
    output.parent.mkdir(parents=True)
    output.write_text("one\n")
    summary = summarize(folder)
    assert [summary.output_file(record) for record in summary.failed] == [output, None]


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FolderUnreadable, match="is not a run folder"):
        summarize(tmp_path)


def test_last_lines(tmp_path: Path) -> None:
    file = tmp_path / "output.txt"
    file.write_bytes(b"")
    assert last_lines(file, 3) == []
    file.write_bytes(b"1\n2\n3\n4\xff")
    assert last_lines(file, 3) == ["2", "3", "4\N{REPLACEMENT CHARACTER}"]
    file.write_bytes(b"x" * 1_000_000)
    assert last_lines(file, 3) == ["x" * 65536]
