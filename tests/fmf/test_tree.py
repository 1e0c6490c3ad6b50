"""Trees that cannot be read: the error names the file, the line or the node, and the way out."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from atex_fmf import MetadataError, TreeError, discover

from .conftest import Grow

NOBODY = 65534


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(TreeError, match="missing: no such folder"):
        discover(tmp_path / "missing")


def test_no_tree(tmp_path: Path) -> None:
    with pytest.raises(TreeError, match=f"no fmf tree in {tmp_path} or above it; `fmf init`"):
        discover(tmp_path)


@pytest.mark.parametrize("version", [None, "one"])
def test_no_version(tmp_path: Path, version: str | None) -> None:
    (tmp_path / ".fmf").mkdir()
    if version:
        (tmp_path / ".fmf/version").write_text(version)
    with pytest.raises(TreeError, match=f"{tmp_path}: .*version.*`fmf init`"):
        discover(tmp_path)


def test_a_folder_within_the_tree_will_do(grow: Grow) -> None:
    root = grow({"tests/smoke.fmf": "test: 'true'"})
    suite = discover(str(root / "tests"))
    assert suite.root == str(root)
    assert [test.name for test in suite.tests] == ["/tests/smoke"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("test: a\nduration: [5m\n", 3),
        ("test: a: b\n", 1),
        ("\ttest: a\n", 1),
        ("test: a\nduration: 5m\ntest: b\n", 3),
        ("/one:\n  test: *nowhere\n", 2),
    ],
)
def test_bad_yaml_has_file_and_line(grow: Grow, text: str, line: int) -> None:
    root = grow({"tests/good.fmf": "test: 'true'", "tests/smoke.fmf": text})
    with pytest.raises(TreeError, match=f"^{root}/tests/smoke.fmf, line {line}: ") as caught:
        discover(root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["- test\n- other\n", "7: seven\n", "/one: [1]\n", "just a word\n"]
)
def test_what_is_not_metadata_has_its_file(grow: Grow, text: str) -> None:
    root = grow({"tests/main.fmf": text})
    with pytest.raises(TreeError, match=f"^{root}/tests/main.fmf: fmf metadata is a mapping"):
        discover(root)


def test_what_is_not_utf8_has_its_file(grow: Grow) -> None:
    root = grow({})
    (root / "smoke.fmf").write_bytes(b"test: \xff\xfe\n")
    with pytest.raises(TreeError, match=f"^{root}/smoke.fmf: .*utf-8"):
        discover(root)


def test_unknown_directive_has_its_file(grow: Grow) -> None:
    root = grow({"smoke.fmf": "/:\n  inherits: false\ntest: 'true'\n"})
    with pytest.raises(TreeError, match=f"^{root}/smoke.fmf: .*'inherits'"):
        discover(root)


def test_bad_merge_has_node_and_file(grow: Grow) -> None:
    root = grow({"main.fmf": "tag: [a]\n", "tests/smoke.fmf": "test: 'true'\ntag+: b\n"})
    with pytest.raises(
        MetadataError, match=f"^/tests/smoke: inherit: .*tag.*{root}/tests/smoke.fmf"
    ):
        discover(root)


@pytest.mark.parametrize("rule", ["{when: what is this}", "{when: 5}", "[1]", "{continue: 1}"])
def test_bad_adjust_has_node_and_file(grow: Grow, rule: str) -> None:
    root = grow({"tests/smoke.fmf": f"test: 'true'\nadjust: {rule}\n"})
    with pytest.raises(MetadataError, match=f"^/tests/smoke: adjust: .*{root}/tests/smoke.fmf"):
        discover(root)


@pytest.fixture
def locked_tree() -> Iterator[Path]:
    """A tree with a folder that this process may not read, for the time of a test not even as root.

    Not in tmp_path, which nobody but its owner can reach.
    """
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / ".fmf").mkdir()
        (root / ".fmf/version").write_text("1\n")
        (root / "locked").mkdir()
        root.chmod(0o755)
        (root / "locked").chmod(0o000)
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        yield root
        os.seteuid(user)
        (root / "locked").chmod(0o755)


def test_a_folder_that_may_not_be_read_is_not_passed_over(locked_tree: Path) -> None:
    with pytest.raises(TreeError, match="locked: Permission denied"):
        discover(locked_tree)
