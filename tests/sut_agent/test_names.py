"""Names that a test chooses: which part of it a result is for, and which files a result may have."""

import pytest
from atex_sut_agent.sut.names import file_name_error, subtest_name
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("name", "part"),
    [
        (None, ""),
        ("", ""),
        ("/", ""),
        ("/a/test", ""),
        ("/a/test/part", "part"),
        ("/a/test/part/of it", "part/of it"),
        ("/a/tester", "/a/tester"),
        ("/other", "/other"),
        ("part", "part"),
        ("a/test", "a/test"),
        ("//", "//"),
    ],
)
def test_which_part_of_the_test(name: str | None, part: str) -> None:
    assert subtest_name(name, "/a/test") == part


def test_a_test_without_a_name() -> None:
    assert subtest_name("/x", "") == "/x"


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a/b/c.txt",
        "..a",
        "a..",
        "...",
        " ",
        "line\nbreak",
        "é" * 127,
        "x" * 255,
        "a/" * 511 + "a",
    ],
)
def test_good_file_names(name: str) -> None:
    assert file_name_error(name) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (None, "needs a name"),
        (5, "needs a name"),
        ("", "needs a name"),
        ("/etc/passwd", "absolute"),
        ("..", "component"),
        ("a/../b", "component"),
        ("./a", "component"),
        ("a//b", "component"),
        ("a/", "component"),
        ("a\0b", "NUL"),
        ("\ud800", "UTF-8"),
        ("x" * 256, "255 bytes"),
        ("é" * 128, "255 bytes"),
        ("a/" * 512 + "a", "1024 bytes"),
    ],
)
def test_bad_file_names(name: object, reason: str) -> None:
    assert reason in (file_name_error(name) or "")


@given(st.text())
def test_what_is_allowed_stays_below_its_folder(name: str) -> None:
    if file_name_error(name) is None:
        assert not name.startswith("/")
        assert not {"", ".", ".."} & set(name.split("/"))
