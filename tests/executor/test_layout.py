"""Folder and file names: docs/results.md, "Names of folders"."""

import posixpath
import re

import pytest
from atex_executor import layout
from atex_sut_agent.sut.names import file_name_error
from hypothesis import assume, given
from hypothesis import strategies as st

NAMES = st.text(max_size=400) | st.text(alphabet="a./%@\\:~\x00é", max_size=12)
TESTS = NAMES.map(lambda name: "/" + name)
FILES = NAMES.filter(lambda name: file_name_error(name) is None)
SERIALS = st.integers(1, 10**6)

# A file name that nobody refuses: https://docs.github.com artifacts, Windows, and every POSIX system.
SAFE = re.compile('(?!\\.\\.?$)[^/\\\\:*?"<>|\x00-\x1f\x7f]*[^/\\\\:*?"<>|\x00-\x1f\x7f. ]')


def test_names_that_need_no_escape_stay_as_they_are() -> None:
    folder = layout.attempt_folder("rhel-9.6@x86_64", "/kernel/syscalls", 17, 1)
    assert folder == "rhel-9.6@x86_64/kernel/syscalls/@17.1"
    assert layout.output_file(folder) == f"{folder}/output.txt"
    assert layout.result_file(folder, "", "logs/a.txt") == f"{folder}/logs/a.txt"
    assert (
        layout.result_file(folder, "openat2", "strace.txt")
        == f"{folder}/subtests/openat2/strace.txt"
    )
    assert layout.phase_file("fedora", "prepare", "podman-3", "default-0") == (
        "fedora/@prepare.podman-3/default-0.txt"
    )


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("/syscalls/openat2", "%2Fsyscalls%2Fopenat2"),
        ("..", ".%2E"),
        (".", "%2E"),
        ("100%", "100%25"),
        ('a:b*c?"<>|\\', "a%3Ab%2Ac%3F%22%3C%3E%7C%5C"),
        ("line\nfeed\0", "line%0Afeed%00"),
        ("ends with a dot.", "ends with a dot%2E"),
        ("český", "český"),
        ("\ud800", "%ED%A0%80"),
    ],
)
def test_a_subtest_is_one_folder_whatever_its_name_is(name: str, folder: str) -> None:
    assert layout.subtest_folder("p/t/@1.1", name) == f"p/t/@1.1/subtests/{folder}"


def test_a_test_file_can_not_take_the_place_of_what_the_runner_writes() -> None:
    folder = layout.attempt_folder("p", "/t", 1, 1)
    assert layout.result_file(folder, "", "output.txt") == f"{folder}/%6Futput.txt"
    assert layout.result_file(folder, "", "subtests/x/f") == f"{folder}/%73ubtests/x/f"
    assert layout.result_file(folder, "x", "output.txt") == f"{folder}/subtests/x/output.txt"


def test_a_test_can_not_be_called_like_an_attempt() -> None:
    assert layout.attempt_folder("@p", "/a/@1.1/b@c", 2, 3) == "%40p/a/%401.1/b@c/@2.3"


def test_a_test_at_the_top_of_the_tree_has_its_folder_there() -> None:
    assert layout.attempt_folder("p", "/", 1, 1) == "p/@1.1"


@given(NAMES, TESTS, SERIALS, st.integers(1, 99), NAMES, FILES)
def test_every_path_is_safe_and_bounded(
    platform: str, test: str, serial: int, attempt: int, name: str, file: str
) -> None:
    folder = layout.attempt_folder(platform, test, serial, attempt)
    for path in (
        layout.output_file(folder),
        layout.result_file(folder, name, file),
        layout.phase_file(platform, "finish", name, test),
    ):
        assert posixpath.normpath(path) == path
        assert not path.startswith("/")
        assert len(path.encode()) <= 2600
        for component in path.split("/"):
            assert SAFE.fullmatch(component)
            assert len(component.encode()) <= 255


@given(NAMES, TESTS, NAMES, TESTS, SERIALS)
def test_two_tests_never_share_a_folder(
    platform: str, test: str, other_platform: str, other_test: str, serial: int
) -> None:
    assume((platform, test) != (other_platform, other_test))
    one = layout.attempt_folder(platform, test, serial, 1)
    other = layout.attempt_folder(other_platform, other_test, serial, 1)
    assert one != other
    assert not one.startswith(f"{other}/")


@given(NAMES, FILES, NAMES, FILES)
def test_two_results_never_share_a_file(
    name: str, file: str, other_name: str, other_file: str
) -> None:
    assume((name, file) != (other_name, other_file))
    path = layout.result_file("t", name, file)
    assert path != layout.result_file("t", other_name, other_file)
    assert path != layout.output_file("t")


@pytest.mark.parametrize("length", [255, 256, 1000, 100_000])
def test_a_long_name_is_cut_and_ends_in_a_hash(length: int) -> None:
    one = layout.subtest_folder("t", "x" * length)
    other = layout.subtest_folder("t", "x" * (length + 1))
    assert one != other
    assert len(posixpath.basename(one)) == 255
    assert bool(re.search("%~[0-9a-f]{32}$", one)) == (length > 255)


def test_a_cut_name_is_still_utf_8() -> None:
    assert layout.subtest_folder("t", "é" * 200).isprintable()
    assert len(posixpath.basename(layout.subtest_folder("t", "aé" + "é" * 200)).encode()) <= 255


def test_a_deep_file_becomes_one_component() -> None:
    file = "/".join(["*" * 50] * 20)
    path = layout.result_file("t", "", file)
    assert path.count("/") == 1
    assert path != layout.result_file("t", "", file + "*")
