import json
import logging
import resource
from pathlib import Path

import pytest
from atex_orchestrator import FolderInUse, FolderUnreadable
from atex_orchestrator.events import Event, MachineReady, RunEnded, RunStarted
from atex_orchestrator.results import (
    PlatformInfo,
    RunFolder,
    RunInfo,
    read_events,
    read_finals,
    read_records,
    read_run,
    whole_lines,
)

from tests.orchestrator.run_folders import final, write_folder


def info() -> RunInfo:
    return RunInfo(started="2026-11-20T15:04:05.123Z", secrets=["TOKEN"])


def test_run_json_is_there_from_the_start_and_rewritten_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "run"
    with RunFolder(path, info()) as folder:
        assert read_run(path) == info()
        folder.info.ended = "2026-11-20T16:00:00.000Z"
        folder.write_info()
    assert read_run(path).ended == "2026-11-20T16:00:00.000Z"
    assert json.loads((path / "run.json").read_text())["secrets"] == ["TOKEN"]
    assert {file.name for file in path.iterdir()} == {"run.json", "events.jsonl", "log.txt"}


def test_names_that_are_not_utf_8_can_be_read(tmp_path: Path) -> None:
    platform = PlatformInfo(name="p", tree="/tree\udcff", tests={1: "/t\udcfe"})
    with RunFolder(tmp_path, RunInfo(started="", platforms=[platform])) as folder:
        folder.append(MachineReady(worker=1, platform="p", machine="m\udcfd", session=""))
    (read,) = read_run(tmp_path).platforms
    assert (read.tree, read.tests) == (r"/tree\xff", {1: r"/t\xfe"})
    (event,) = read_events(tmp_path)
    assert isinstance(event, MachineReady)
    assert event.machine == r"m\xfd"


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(FolderInUse, match="is not empty"):
        RunFolder(tmp_path, info())
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_a_folder_is_one_process_at_a_time(tmp_path: Path) -> None:
    with RunFolder(tmp_path, info()), pytest.raises(FolderInUse, match="a process of atex still"):
        RunFolder(tmp_path)
    with RunFolder(tmp_path) as folder:
        assert folder.info == info()


def test_what_a_killed_process_wrote_is_continued(tmp_path: Path) -> None:
    with RunFolder(tmp_path, info()) as folder:
        folder.append(RunStarted(tests=3))
    with (tmp_path / "events.jsonl").open("ab") as events:
        events.write(b'{"event": "ru')
    with RunFolder(tmp_path) as folder:
        folder.append(RunEnded())
    assert [type(event) for event in read_events(tmp_path)] == [RunStarted, RunEnded]
    assert (tmp_path / "events.jsonl").read_bytes().count(b"\n") == 2


@pytest.mark.parametrize(
    "there",
    [
        {},
        {"results.jsonl": b""},
        {"run.json": b""},
        {"run.json": b'{"version": "\xff"}'},
        {"run.json": b'{"options":' + b"[" * 100_000},
    ],
    ids=["nothing", "results", "empty", "binary", "deep"],
)
def test_what_is_no_run_is_not_continued(tmp_path: Path, there: dict[str, bytes]) -> None:
    for name, content in there.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FolderUnreadable, match="is not a run folder"):
        RunFolder(tmp_path)
    assert {"events.jsonl", *there} >= {file.name for file in tmp_path.iterdir()}


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderInUse, match="Not a directory"):
        RunFolder(tmp_path / "file" / "run", info())


def test_a_folder_with_no_room_is_refused_before_anything_starts(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(FolderInUse, match="File too large"):
            RunFolder(tmp_path, info())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_events_are_read_as_they_were_written(tmp_path: Path) -> None:
    events: list[Event] = [
        RunStarted(tests=3),
        MachineReady(worker=1, platform="p", machine="m", session="0" * 32),
        RunEnded(reason="enough"),
    ]
    with RunFolder(tmp_path, info()) as folder:
        for event in events:
            folder.append(event)
    assert list(read_events(tmp_path)) == events
    first = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[0])
    assert list(first) == ["event", "time", "tests"]


def test_log_txt_has_what_the_packages_say(tmp_path: Path) -> None:
    logger = logging.getLogger("atex_executor.somewhere")
    logger.warning("before")
    with RunFolder(tmp_path, info()):
        logger.info("said %s", "something")
        logging.getLogger("paramiko").error("not ours")
    logger.warning("after")
    assert (tmp_path / "log.txt").read_text().endswith("said something\n")
    assert (tmp_path / "log.txt").read_text().count("\n") == 1


def test_records_whole_and_final(tmp_path: Path) -> None:
    lines = [{**final(1, "pass"), "final": False, "name": "sub"}, final(1, "fail", mine=[1])]
    write_folder(tmp_path, tests=["/t1"], records=lines)
    assert list(read_records(tmp_path)) == lines
    assert [record.status for record in read_finals(tmp_path)] == ["fail"]


def test_a_file_that_grows_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    assert list(whole_lines(path)) == []
    path.write_bytes(b"one\ntw")
    assert list(whole_lines(path)) == [b"one\n"]
    path.write_bytes(b"one\ntwo\n")
    assert list(whole_lines(path)) == [b"one\n", b"two\n"]
