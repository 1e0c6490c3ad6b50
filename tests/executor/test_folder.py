"""FolderSink: the run folder on disk."""

import errno
import json
import os
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from atex_executor import FileRefused, FolderSink, SinkError, SinkFull, unstarted_record
from atex_executor.ending import infra
from atex_executor.journal import Attempt
from atex_executor.recorder import Recorder
from atex_fmf import Test

from tests.waits import Background, eventually


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[FolderSink]:
    with FolderSink(tmp_path / "run") as sink:
        yield sink


def content(sink: FolderSink, path: str) -> bytes:
    return (sink.folder / "files" / path).read_bytes()


def lines(sink: FolderSink) -> list[object]:
    return [json.loads(line) for line in (sink.folder / "results.jsonl").read_bytes().splitlines()]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size` bytes: as good as a full disk, and needs no root."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_records_are_lines_in_order(sink: FolderSink) -> None:
    sink.records([{"n": 1}, {"n": 2, "note": "a\nb"}])
    sink.records([{"n": 3}])
    assert lines(sink) == [{"n": 1}, {"n": 2, "note": "a\nb"}, {"n": 3}]


def test_files_are_written_where_they_say(sink: FolderSink) -> None:
    sink.write("a/b/c.txt", 0, b"hello")
    sink.write("a/b/c.txt", 5, b" world")
    sink.write("a/b/c.txt", 0, b"H")
    sink.write("empty", 0, b"")
    assert content(sink, "a/b/c.txt") == b"Hello world"
    assert content(sink, "empty") == b""
    assert (sink.length("a/b/c.txt"), sink.length("empty"), sink.length("none")) == (11, 0, None)
    assert sink.length("empty/below a file") is None
    assert sink.length("a/b") is None


def test_cut_and_remove(sink: FolderSink) -> None:
    sink.write("f", 0, b"12345")
    sink.cut("f", 2)
    assert content(sink, "f") == b"12"
    sink.remove("f")
    assert sink.length("f") is None


def test_a_link_is_the_same_file(sink: FolderSink) -> None:
    sink.write("output.txt", 0, b"before")
    assert sink.link("output.txt", "subtests/x/out.log")
    sink.output("output.txt", 6, b" after")
    assert content(sink, "subtests/x/out.log") == b"before after"
    assert not sink.link("output.txt", "subtests/x/out.log")
    assert sink.same_file("subtests/x/out.log", "output.txt")
    sink.write("other", 0, b"before after")
    assert not sink.same_file("other", "output.txt")
    assert not sink.same_file("none", "output.txt")
    with pytest.raises(FileRefused):
        sink.link("output.txt", "other")


@pytest.mark.parametrize("path", ["f/below", "folder", "x" * 256])
def test_names_that_can_not_be_are_refused(sink: FolderSink, path: str) -> None:
    sink.write("f", 0, b"")
    sink.write("folder/f", 0, b"")
    with pytest.raises(FileRefused):
        sink.write(path, 0, b"x")
    sink.write("another", 0, b"x")


def test_a_planted_symbolic_link_is_not_followed(sink: FolderSink, tmp_path: Path) -> None:
    (sink.folder / "files" / "f").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileRefused):
        sink.write("f", 0, b"x")
    assert not (tmp_path / "elsewhere").exists()


def test_many_threads_never_tear_a_line(sink: FolderSink) -> None:
    def write(thread: int) -> None:
        for n in range(200):
            sink.records([{"thread": thread, "n": n, "filler": "x" * 300}] * 3)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = lines(sink)
    assert len(found) == 4 * 200 * 3
    assert all(found[index] == found[index + 1] == found[index + 2] for index in range(0, 2400, 3))


def test_a_full_disk_tears_no_line(tmp_path: Path) -> None:
    with FolderSink(tmp_path) as sink:
        sink.records([{"n": 1}])
        with largest_file(100), pytest.raises(SinkFull, match=r"results\.jsonl"):
            sink.records([{"n": 2, "filler": "x" * 200}])
        with largest_file(8), pytest.raises(SinkFull):
            sink.records([{"n": 2}])
        sink.records([{"n": 3}])
        assert lines(sink) == [{"n": 1}, {"n": 3}]


def test_a_full_disk_is_told_for_files(tmp_path: Path) -> None:
    with (
        FolderSink(tmp_path) as sink,
        largest_file(100),
        pytest.raises(SinkFull, match=r"no room for results: .*/f: "),
    ):
        sink.write("f", 0, b"x" * 101)


def test_a_run_folder_is_continued_without_its_torn_line(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_bytes(b'{"n":1}\n{"n":2')
    with FolderSink(tmp_path) as sink:
        sink.records([{"n": 3}])
        assert lines(sink) == [{"n": 1}, {"n": 3}]


@pytest.mark.parametrize("torn", [b"", b"x" * 200_000])
def test_a_torn_line_may_be_all_there_is(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / "results.jsonl").write_bytes(torn)
    with FolderSink(tmp_path) as sink:
        sink.records([{"n": 1}])
        assert lines(sink) == [{"n": 1}]


def test_a_folder_that_can_not_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="file/run"):
        FolderSink(tmp_path / "file" / "run")


def test_after_close_nothing_is_taken(tmp_path: Path) -> None:
    sink = FolderSink(tmp_path)
    sink.close()
    sink.close()
    calls: list[Callable[[], object]] = [
        lambda: sink.records([{}]),
        lambda: sink.write("f", 0, b""),
        lambda: sink.link("f", "g"),
        lambda: sink.cut("f", 0),
        lambda: sink.remove("f"),
    ]
    for call in calls:
        with pytest.raises(SinkError, match="closed"):
            call()


def test_what_was_written_is_synced_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[str] = set()
    done = threading.Event()
    fsync = os.fsync

    def note(fd: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)
        if {str(tmp_path / "results.jsonl"), str(tmp_path / "files/a/f")} <= synced:
            done.set()

    monkeypatch.setattr(os, "fsync", note)
    with FolderSink(tmp_path) as sink:
        sink.records([{}])
        sink.write("a/f", 0, b"x")
        assert done.wait(10)
    assert str(tmp_path / "files/a") in synced


def test_a_failed_sync_is_told_to_who_writes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    sink = FolderSink(tmp_path)
    sink.records([{}])
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SinkError, match="Input/output error"):
        sink.sync()
    with pytest.raises(SinkError, match="Input/output error"):
        sink.records([{}])
    with pytest.raises(SinkError, match="Input/output error"):
        sink.close()


def test_very_many_files_are_synced_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr(os, "sync", lambda: calls.append("sync"))
    monkeypatch.setattr("atex_executor.syncing._SYNC_AFTER", 60.0)
    with FolderSink(tmp_path) as sink:
        for number in range(600):
            sink.write(f"{number}", 0, b"")
        sink.sync()
    assert calls


def test_a_file_may_have_more_names_than_its_file_system_allows(
    sink: FolderSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(existing: str, path: str) -> None:
        raise OSError(errno.EMLINK, os.strerror(errno.EMLINK))

    sink.write("t/output.txt", 0, b"output")
    monkeypatch.setattr(os, "link", full)
    assert sink.link("t/output.txt", "t/subtests/a/log")
    assert content(sink, "t/subtests/a/log") == b"output"
    assert sink.same_file("t/subtests/a/log", "t/output.txt")
    with pytest.raises(FileRefused):
        sink.write("t/subtests/a/log", 0, b"x")
    sink.write("t/other", 0, b"")
    with pytest.raises(FileRefused):
        sink.link("t/output.txt", "t/other")


def test_the_files_of_a_folder(sink: FolderSink) -> None:
    for path in ("a/b", "a/c/d", "other"):
        sink.write(path, 0, b"")
    assert sorted(sink.files("a")) == ["a/b", "a/c/d"]
    assert list(sink.files("none")) == []


def test_names_that_are_not_utf_8_can_be_read(sink: FolderSink) -> None:
    name = "/\udcff\ud800"
    test = Test(name=name, test="true", serial=1)
    attempt = Attempt.of(test, platform="p\udc80", machine="m\udc81", attempt=1, started="")
    final = Recorder(sink, attempt).close(infra("gone: \udc82"), seconds=1.0)
    assert lines(sink) == [final]
    assert (final["test"], final["platform"]) == (r"/\xff\ud800", r"p\x80")
    assert (final["machine"], final["note"]) == (r"m\x81", r"gone: \x82")
    assert content(sink, final["files"][0]) == b""
    sink.records([unstarted_record(test, "p\udc80", "infra", "no machine: \udc83")])
    assert len(lines(sink)) == 2


def test_a_sync_waits_for_one_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another thread is about to sync is not safe yet."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(path: str) -> None:
        begun.set()
        assert go_on.wait(20)

    with FolderSink(tmp_path) as sink:
        monkeypatch.setattr("atex_executor.syncing._sync", slow)
        sink.records([{}])
        assert begun.wait(20)  # in the background
        second = Background(sink.sync)
        eventually(sink._syncer._syncing.locked)
        assert second.waiting
        go_on.set()
        second.result()
