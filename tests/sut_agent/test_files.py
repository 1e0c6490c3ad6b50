"""Who may write to a result's files, and where their bytes land."""

import json

from atex_sut_agent.sut.files import Files, cuts_by_frame
from atex_sut_agent.sut.framing import MAX_HEAD


def test_bytes_follow_each_other() -> None:
    files = Files()
    files.claim("door", "part", ["log"])
    assert [files.grow("door", "log", size) for size in (10, 0, 5)] == [
        (0, None),
        (10, None),
        (10, None),
    ]
    files.claim("other door", "another part", ["log"])
    assert files.grow("other door", "log", 1) == (0, None)


def test_each_result_says_how_long_its_files_were_before_it() -> None:
    files = Files()
    files.continue_with("part", "old", 7)
    for before, lengths in ([None, 7, None], (5, 2, 0)), ([5, 9, 0], (1, 1, 1)):
        files.claim("door", "part", ["new", "old", "empty", "new"])
        for file, old, length in zip(("new", "old", "empty"), before, lengths, strict=True):
            assert files.grow("door", file, length) == (old or 0, old)
        assert files.commit("door") == before


def test_two_never_write_to_one_file() -> None:
    files = Files()
    assert files.claim("first", "part", ["a", "b"])
    assert not files.claim("second", "part", ["c", "b"])
    assert files.claim("third", "another part", ["b"])
    files.commit("first")
    assert files.claim("second", "part", ["c", "b"])


def test_what_is_dropped_is_cut_back_to_what_it_was_before() -> None:
    files = Files()
    files.claim("first", "", ["log"])
    files.grow("first", "log", 10)
    files.commit("first")
    files.claim("second", "", ["log", "new", "log"])
    files.grow("second", "log", 5)
    files.grow("second", "new", 5)
    assert files.cut_back("second") == [("", "log", 10), ("", "new", None)]
    assert files.claim("third", "", ["new", "log"])
    assert files.grow("third", "new", 1) == (0, None)
    assert files.grow("third", "log", 1) == (10, 10)


def test_cuts_fit_into_frames() -> None:
    cuts: list[tuple[str, str, int | None]] = [
        ("\x01" * 300, f"file{number}", number) for number in range(10_000)
    ]
    frames = list(cuts_by_frame(cuts))
    assert [(cut["name"], cut["file"], cut["length"]) for cuts in frames for cut in cuts] == cuts
    assert all(len(json.dumps(cuts)) < MAX_HEAD / 2 for cuts in frames)
    assert len(frames) < 30
    assert list(cuts_by_frame([("x" * MAX_HEAD, "a", 1), ("", "b", 2)])) == [
        [{"name": "x" * MAX_HEAD, "file": "a", "length": 1}],
        [{"name": "", "file": "b", "length": 2}],
    ]
