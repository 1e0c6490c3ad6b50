"""What an attempt leaves on disk, whatever the machine says: spec/RESULTS.md."""

import json
import logging
from collections.abc import Iterator
from functools import reduce
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from atex_executor import FolderSink
from atex_executor.ending import Ending
from atex_executor.errors import ProtocolBroken, SinkFull
from atex_executor.layout import result_file
from atex_executor.verdict import worse
from atex_sut_agent.protocol import Cut, Dropped, FileChunk, Noted, Output, Results, RunMessage
from atex_sut_agent.sut.names import subtest_name
from hypothesis import given
from hypothesis import strategies as st

from tests.executor.naive import merged_at_once
from tests.executor.told import Told

RUNNERS_OWN = ("name", "serial", "partial")
HEAD = {"test": "/t", "platform": "p", "serial": 1, "attempt": 1}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FolderSink]:
    """One run folder for all examples of hypothesis, each an attempt of its own."""
    with FolderSink(tmp_path_factory.mktemp("run")) as sink:
        (sink.folder / "files" / "p").mkdir()
        yield sink


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    with FolderSink(tmp_path) as sink:
        yield Told(sink)


ATTEMPTS = count(1)


# Results ---------------------------------------------------------------------------------------------


def test_named_results_are_recorded_as_they_come(told: Told) -> None:
    told.sends({"name": "a", "status": "pass"}, {"name": "b", "status": "odd", "mine": [1, None]})
    told.sends({"name": "a"})
    told.ends()
    first, second, third, final = told.records()
    assert list(first.items()) == [*HEAD.items(), ("n", 1), ("name", "a"), ("status", "pass")]
    assert second == HEAD | {"n": 2, "name": "b", "status": "odd", "mine": [1, None]}
    assert third == HEAD | {"n": 3, "name": "a"}
    assert final == HEAD | {
        "final": True,
        "machine": "m",
        "started": "2026-11-20T15:04:05.123Z",
        "seconds": 1.0,
        "exit_code": 0,
        "status": "pass",
        "files": ["p/t/@1.1/output.txt"],
    }


def test_names_of_subtests(told: Told) -> None:
    told.sends({"name": "/t/sub/test"}, {"name": "/syscalls/x"}, {"name": "x"}, {"name": "/tt"})
    names = [record["name"] for record in told.records()]
    assert names == ["sub/test", "/syscalls/x", "x", "/tt"]


@pytest.mark.parametrize("name", [{}, {"name": ""}, {"name": None}, {"name": "/"}, {"name": "/t"}])
def test_results_of_the_test_itself_are_in_the_final_record_only(
    told: Told, name: dict[str, Any]
) -> None:
    told.sends({**name, "status": "info", "note": "first", "list": [1], "obj": {"a": 1}})
    told.sends({**name, "status": "warn", "list": [2], "obj": {"b": None, "c": 3}})
    told.sends({**name, "status": "pass", "note": "last"})
    final = told.ends(Ending(exit_code=1))
    assert told.records() == [final]
    assert (final["status"], final["note"], final["exit_code"]) == ("warn", "last", 1)
    assert (final["list"], final["obj"]) == ([1, 2], {"a": 1, "c": 3})
    assert list(final)[-3:] == ["files", "list", "obj"]


def test_null_is_absence(told: Told) -> None:
    told.sends({"name": "a", "status": None, "note": None, "files": None, "testout": None})
    told.sends({"status": None, "note": None})
    final = told.ends(Ending(exit_code=1))
    assert told.records() == [HEAD | {"n": 1, "name": "a"}, final]
    assert final["status"] == "fail"
    assert "note" not in final


def test_keys_of_the_runner_are_dropped_with_one_warning(
    told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    stolen = {"test": "/x", "serial": 9, "attempt": 3, "final": True, "n": 7, "plan": "/p"}
    told.sends({"name": "a", **stolen, "mine": 1}, {"status": "pass", **stolen})
    final = told.ends()
    assert told.records() == [HEAD | {"n": 1, "name": "a", "mine": 1}, final]
    assert (final["test"], final["serial"], final["exit_code"]) == ("/t", 1, 0)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1


def test_a_large_frame_is_recorded_whole_and_in_order(told: Told) -> None:
    told.sends(*({"name": f"case {n}", "filler": "x" * 50} for n in range(20_000)))
    records = told.records()
    assert [record["n"] for record in records] == list(range(1, 20_001))
    assert records[-1]["name"] == "case 19999"


def test_partial_false_is_no_key_of_a_record(told: Told) -> None:
    told.sends({"name": "a", "partial": False})
    assert told.records() == [HEAD | {"n": 1, "name": "a"}]


def test_what_a_test_may_leave_in_memory_is_bounded(told: Told) -> None:
    for _ in range(40):
        told.sends({"list": ["x" * 500_000]})
    final = told.ends()
    assert final["status"] == "error"
    assert "16 MiB" in final["note"]
    assert told.records() == [final]


def test_a_value_that_is_replaced_is_held_once(told: Told) -> None:
    for _ in range(40):
        told.sends({"value": "x" * 500_000})
    assert told.ends()["status"] == "pass"


# Output and files ------------------------------------------------------------------------------------


def test_output_is_always_there_and_listed(told: Told, tmp_path: Path) -> None:
    final = told.ends()
    assert final["files"] == ["p/t/@1.1/output.txt"]
    assert (tmp_path / "files/p/t/@1.1/output.txt").read_bytes() == b""


def test_files_are_listed_once_also_when_appended(told: Told) -> None:
    told.sends_files({"name": "a"}, [("log", b"12345"), ("log", b"678"), ("d/e", b"")])
    told.sends_files({"name": "a"}, [("log", b"9")])
    told.sends_files({}, [("log", b"own")])
    told.sends_files({"name": "/t"}, [("log", b"!"), ("new", b"")])
    final = told.ends()
    first, second, _ = told.records()
    assert first["files"] == ["p/t/@1.1/subtests/a/log", "p/t/@1.1/subtests/a/d/e"]
    assert "files" not in second
    assert final["files"] == ["p/t/@1.1/output.txt", "p/t/@1.1/log", "p/t/@1.1/new"]
    assert told.files_on_disk() == told.files
    assert told.files["p/t/@1.1/log"] == b"own!"


def test_a_dropped_result_leaves_nothing(told: Told) -> None:
    told.sends_files({"name": "a"}, [("log", b"kept")])
    told.drops("a", [("log", b"more"), ("new", b"bytes")])
    told.sends_files({"name": "a"}, [("log", b"!")])
    told.ends()
    assert told.files_on_disk() == told.files == {"p/t/@1.1/subtests/a/log": b"kept!"}


def test_an_end_in_the_middle_of_a_file_leaves_nothing(told: Told) -> None:
    told.recorder.apply(FileChunk(run=1, name="a", file="log", offset=0), b"half")
    told.ends(Ending(ended_by="infra", note="gone"))
    assert told.files_on_disk() == {}


def test_testout_is_the_output_under_another_name(told: Told, tmp_path: Path) -> None:
    told.sends({"name": "a", "testout": "out/log.txt"}, {"testout": "all.txt"})
    told.sends({"name": "a", "testout": "out/log.txt"}, {"testout": "output.txt"})
    told.prints(b"later")
    final = told.ends()
    first, second, _ = told.records()
    assert first == HEAD | {
        "n": 1,
        "name": "a",
        "files": ["p/t/@1.1/subtests/a/out/log.txt"],
    }
    assert "files" not in second
    assert final["files"] == ["p/t/@1.1/output.txt", "p/t/@1.1/all.txt"]
    files = tmp_path / "files"
    assert (files / first["files"][0]).read_bytes() == b"later"
    assert (files / first["files"][0]).stat().st_ino == (files / final["files"][0]).stat().st_ino


def test_testout_must_not_take_the_name_of_a_file(told: Told) -> None:
    told.sends_files({"name": "a"}, [("log", b"file")])
    told.sends({"name": "a", "testout": "log"})
    final = told.ends()
    assert (final["status"], "'log'" in final["note"]) == ("error", True)
    assert told.files_on_disk() == told.files


def test_a_file_must_not_take_the_name_of_testout(told: Told) -> None:
    told.prints(b"output")
    told.sends({"name": "a", "testout": "log"})
    told.sends_files({"name": "a"}, [("log", b"file"), ("other", b"fine")])
    final = told.ends()
    assert final["status"] == "error"
    on_disk = told.files_on_disk()
    assert on_disk["p/t/@1.1/subtests/a/log"] == b"output"
    assert on_disk["p/t/@1.1/subtests/a/other"] == b"fine"


def test_a_file_can_not_be_a_folder_too(told: Told) -> None:
    told.sends_files({"name": "a"}, [("log", b"1"), ("log/x", b"22"), ("other", b"3")])
    told.sends_files({"name": "a"}, [("log/x", b"4"), ("log", b"5")])
    final = told.ends()
    assert (final["status"], "'log/x'" in final["note"]) == ("error", True)
    record = told.records()[0]
    assert [Path(path).name for path in record["files"]] == ["log", "other"]
    assert told.files_on_disk() == {
        "p/t/@1.1/subtests/a/log": b"15",
        "p/t/@1.1/subtests/a/other": b"3",
    }


def test_a_folder_can_not_be_a_file_too(told: Told) -> None:
    told.sends_files({"name": "a"}, [("log/x", b"1"), ("log", b"2")])
    told.sends({"name": "a", "testout": "log"})
    final = told.ends()
    assert (final["status"], "'log'" in final["note"]) == ("error", True)
    assert told.files_on_disk() == {"p/t/@1.1/subtests/a/log/x": b"1"}


def test_a_full_disk_is_told_to_the_session(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise SinkFull("no room")

    monkeypatch.setattr(FolderSink, "write", full)
    with pytest.raises(SinkFull):
        told.prints(b"x")
    final = told.ends()
    assert (final["status"], final["note"]) == ("infra", "no room")


# Machines that break the protocol --------------------------------------------------------------------


def broken(told: Told, message: RunMessage, tail: bytes = b"") -> str:
    with pytest.raises(ProtocolBroken) as caught:
        told.recorder.apply(message, tail)
    return str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"1",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"name": 1}',
        b'{"name": "x", "status": 1}',
        b'{"name": "x", "note": []}',
        b'{"name": "x", "testout": {}}',
        b'{"name": "x", "testout": "../x"}',
        b'{"name": "x", "status": "infra"}',
        b'{"status": "infra"}',
        b'{"name": "%s", "partial": true}' % (b"x" * 4097),
        b'{"name": "x", "files": 3}',
        b'{"name": "x", "files": [{"name": "a"}]}',
        b'{"name": "x", "files": [{"name": "a", "length": -1}, {"name": "a", "length": 1}]}',
        b'{"name": "x", "files": [{"name": "a", "length": 5}]}',
        b'{"name": "x", "files": [{"name": "a", "length": 0}]}',
        b'{"a": ' * 70 + b"1" + b"}" * 70,
        b'{"name": "x", "a":' + b"[" * 100_000,
    ],
)
def test_results_that_no_agent_sends(told: Told, line: bytes) -> None:
    broken(told, Results(run=1, first=1), line + b"\n")
    final = told.ends(Ending(ended_by="infra", note="the machine broke the protocol"))
    assert told.records() == [final]


@pytest.mark.parametrize("first", [0, 2, 4, -1, 10**30])
def test_result_numbers_with_gaps_or_going_back(told: Told, first: int) -> None:
    told.sends({"name": "a"}, {"name": "b"})
    broken(told, Results(run=1, first=first), b'{"name":"x"}\n')


@pytest.mark.parametrize("offset", [-1, 0, 2, 4, 10**30])
def test_output_with_gaps_or_going_back(told: Told, offset: int) -> None:
    told.prints(b"123")
    broken(told, Output(run=1, offset=offset), b"x")


@pytest.mark.parametrize("offset", [-1, 1, 10**30])
def test_a_file_with_gaps(told: Told, offset: int) -> None:
    broken(told, FileChunk(run=1, name="a", file="log", offset=offset), b"x")


@pytest.mark.parametrize("file", ["", "/etc/passwd", "..", "a/../b", "a//b", "a\0", "x" * 256])
def test_file_names_that_no_agent_lets_through(told: Told, file: str) -> None:
    broken(told, FileChunk(run=1, name="a", file=file, offset=0), b"x")
    cut = Cut(name="a", file=file, length=0)
    broken(told, Dropped(run=1, cuts=(cut,), note=""))
    assert told.files_on_disk() == {}


def test_a_file_whose_length_is_not_what_came(told: Told) -> None:
    told.recorder.apply(FileChunk(run=1, name="a", file="log", offset=0), b"123")
    lengths = b'{"name":"a","files":[{"name":"log","length":4}]}\n'
    assert "'log'" in broken(told, Results(run=1, first=1, before=(None,)), lengths)
    told.ends(Ending(ended_by="infra"))
    assert told.files_on_disk() == {}


def test_a_cut_to_what_a_file_never_was(told: Told) -> None:
    told.sends_files({"name": "a"}, [("log", b"123")])
    for length in (None, 0, 2, 4):
        cut = Cut(name="a", file="log", length=length)
        broken(told, Dropped(run=1, cuts=(cut,), note=""))
    assert told.files_on_disk() == told.files


@pytest.mark.parametrize("before", [None, 0, 2, 4, -1, 10**30])
def test_a_lie_about_what_a_file_had_before(told: Told, before: int | None) -> None:
    told.sends_files({"name": "a"}, [("log", b"123")])
    offset = before or 0
    lie = FileChunk(run=1, name="a", file="log", offset=offset, before=before)
    assert "'log'" in broken(told, lie, b"x")
    assert told.files_on_disk() == told.files


@pytest.mark.parametrize("before", [(), (None,), (0,), (2,), (3, 3), (10**30,)])
def test_a_result_that_lies_about_what_its_file_had_before(
    told: Told, before: tuple[int | None, ...]
) -> None:
    told.sends_files({"name": "a"}, [("log", b"123")])
    chunk = FileChunk(run=1, name="a", file="log", offset=3, before=3)
    told.recorder.apply(chunk, b"4")
    line = b'{"name":"a","files":[{"name":"log","length":1}]}\n'
    broken(told, Results(run=1, first=2, before=before), line)
    told.ends(Ending(ended_by="infra"))
    assert told.files_on_disk() == told.files


@pytest.mark.parametrize("before", [None, 0, 6])
def test_the_output_is_not_written_by_its_other_name(told: Told, before: int | None) -> None:
    told.prints(b"output")
    told.sends({"name": "a", "testout": "log"})
    chunk = FileChunk(run=1, name="a", file="log", offset=before or 0, before=before)
    told.recorder.apply(chunk, b"x")
    final = told.ends()
    assert (final["status"], "it is the output" in final["note"]) == ("error", True)
    assert told.files_on_disk() == {f"{told.folder}/subtests/a/log": b"output"}


def test_unfinished_files_are_bounded(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("atex_executor.result_files._MAX_UNFINISHED", 2 * 1024 * 1024)

    def send_many() -> None:
        for number in range(1000):
            message = FileChunk(run=1, name=f"{number:04}" * 1000, file="f", offset=0)
            told.recorder.apply(message, b"")

    with pytest.raises(ProtocolBroken, match="too many files"):
        send_many()
    told.ends(Ending(ended_by="infra"))
    assert told.files_on_disk() == {}


def test_remarks_do_not_flood_the_log(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(1000):
        told.recorder.apply(Noted(run=1, note="x" * 100_000 + "\x1b[2J"), b"")
    assert len(caplog.records) <= 100
    assert all(len(record.getMessage()) < 1000 for record in caplog.records)


# Whatever comes --------------------------------------------------------------------------------------

WORDS = st.sampled_from(["pass", "fail", "info", "warn", "skip", "error", "odd"])
FILE_NAMES = st.sampled_from(["f", "g.txt", "d/f", "output.txt", "subtests/f", "x:y"])
FILES = st.lists(st.tuples(FILE_NAMES, st.binary(max_size=8)), max_size=3)
RESULT_NAMES = st.sampled_from([None, "", "/", "/t", "/t/a", "a", "a/b", "/other", "..", "@1.1"])
RESULTS = st.fixed_dictionaries(
    {},
    optional={
        "name": RESULT_NAMES,
        "status": st.none() | WORDS,
        "note": st.none() | st.text(max_size=3),
        "partial": st.booleans(),
        "mine": st.none() | st.lists(st.integers(0, 9), max_size=2),
        "serial": st.integers(),
    },
)
STEPS = st.one_of(
    st.tuples(st.just("prints"), st.binary(max_size=20)),
    st.tuples(st.just("sends"), st.lists(RESULTS, min_size=1, max_size=4)),
    st.tuples(st.just("sends_files"), st.tuples(RESULTS, FILES)),
    st.tuples(st.just("drops"), st.tuples(st.sampled_from(["", "a", "b"]), FILES)),
)


class Model:
    """What should be recorded, in the plainest words."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.records: list[dict[str, Any]] = []
        self.own: list[dict[str, Any]] = []
        self.own_files: list[str] = []
        self.held: dict[str, list[dict[str, Any]]] = {}
        self.held_files: dict[str, list[str]] = {}
        self.listed: set[str] = set()
        self.n = 0

    def take(self, result: dict[str, Any], files: list[tuple[str, bytes]]) -> None:
        self.n += 1
        kept = {key: value for key, value in result.items() if key not in RUNNERS_OWN}
        name = subtest_name(result.get("name"), "/t")
        paths = list(dict.fromkeys(result_file(self.told.folder, name, file) for file, _ in files))
        paths = [path for path in paths if path not in self.listed]
        self.listed |= set(paths)
        if not name:
            self.own.append(kept)
            self.own_files += paths
        elif result.get("partial") or name in self.held:
            self.held.setdefault(name, []).append({"n": self.n, **kept})
            self.held_files.setdefault(name, []).extend(paths)
            if not result.get("partial"):
                self.release(name)
        else:
            nothing = {key for key in ("status", "note") if kept.get(key, "") is None}
            plain = {key: value for key, value in kept.items() if key not in nothing}
            self.record(name, {"n": self.n, **plain}, paths)

    def release(self, name: str) -> None:
        self.record(name, merged_at_once(self.held.pop(name)), self.held_files.pop(name))

    def record(self, name: str, keys: dict[str, Any], paths: list[str]) -> None:
        record = HEAD | {"attempt": self.told.attempt, "name": name, **keys}
        self.records.append(record | ({"files": paths} if paths else {}))

    def end(self) -> None:
        for name in list(self.held):
            self.release(name)

    @property
    def status(self) -> str | None:
        statuses = [result["status"] for result in self.own if result.get("status")]
        return reduce(worse, statuses, None)


@given(steps=st.lists(STEPS, max_size=12), exit_code=st.integers(0, 2))
def test_every_legal_sequence_leaves_what_the_model_says(
    shared: FolderSink, steps: list[tuple[str, Any]], exit_code: int
) -> None:
    told = Told(shared, attempt=next(ATTEMPTS))
    model = Model(told)
    for step, given_ in steps:
        if step == "prints":
            told.prints(given_)
        elif step == "sends":
            told.sends(*given_)
            for result in given_:
                model.take(result, [])
        elif step == "sends_files":
            told.sends_files(*given_)
            model.take(*given_)
        else:
            told.drops(*given_)
    final = told.ends(Ending(exit_code=exit_code))
    model.end()
    own = merged_at_once(model.own)
    assert told.records() == [*model.records, final]
    assert told.files_on_disk() == told.files
    assert final["status"] == (model.status or ("fail" if exit_code else "pass"))
    assert (final.get("note"), final.get("mine")) == (own.get("note"), own.get("mine"))
    output, *own_files = final["files"]
    assert own_files == model.own_files
    assert (shared.folder / "files" / output).read_bytes() == told.output


NUMBERS = st.integers(-2, 12) | st.sampled_from([2**31, 2**63, 2**64, 10**30])
ANY_NAMES = st.sampled_from(["", "f", "d/f", "..", "/x", "a\0b", "d", "@1.1", "subtests", "%"]) | (
    st.text(max_size=5).filter(lambda text: text.isprintable())
)
ANY_LINES = st.one_of(
    st.binary(max_size=30),
    st.lists(RESULTS, max_size=3).map(lambda results: "\n".join(map(json.dumps, results)).encode()),
    st.fixed_dictionaries(
        {},
        optional={
            "name": ANY_NAMES,
            "testout": ANY_NAMES,
            "partial": st.booleans(),
            "files": st.lists(
                st.fixed_dictionaries({"name": ANY_NAMES, "length": NUMBERS}), max_size=2
            ),
        },
    ).map(lambda result: json.dumps(result).encode()),
)
ANY_MESSAGES = st.one_of(
    st.tuples(st.builds(Output, run=st.just(1), offset=NUMBERS), st.binary(max_size=9)),
    st.tuples(st.builds(Results, run=st.just(1), first=NUMBERS), ANY_LINES),
    st.tuples(
        st.builds(FileChunk, run=st.just(1), name=ANY_NAMES, file=ANY_NAMES, offset=NUMBERS),
        st.binary(max_size=9),
    ),
    st.tuples(
        st.builds(
            Dropped,
            run=st.just(1),
            cuts=st.lists(
                st.builds(Cut, name=ANY_NAMES, file=ANY_NAMES, length=NUMBERS), max_size=2
            ).map(tuple),
            note=st.text(max_size=3),
        ),
        st.just(b""),
    ),
)


@given(st.lists(ANY_MESSAGES, max_size=8))
def test_no_sequence_crashes_or_leaves_its_folder(
    shared: FolderSink, messages: list[tuple[RunMessage, bytes]]
) -> None:
    told = Told(shared, attempt=next(ATTEMPTS))
    before = _entries(shared.folder, without=told.folder)
    try:
        for message, tail in messages:
            told.recorder.apply(message, tail)
    except ProtocolBroken as error:
        final = told.ends(Ending(ended_by="infra", note=str(error)))
        assert final["status"] == "infra"
    else:
        told.ends()
    *results, final = told.records()
    for record in (*results, final):
        assert record["attempt"] == told.attempt
        for path in record.get("files", []):
            assert path.startswith(told.folder + "/")
            assert (shared.folder / "files" / path).is_file()
    assert [record.get("final") for record in results] == [None] * len(results)
    assert _entries(shared.folder, without=told.folder) == before


def _entries(folder: Path, without: str) -> set[Path]:
    attempts = folder / "files" / Path(without).parent
    return {
        *folder.iterdir(),
        *(folder / "files").iterdir(),
        *(path for path in attempts.glob("*") if path.name != Path(without).name),
    }
