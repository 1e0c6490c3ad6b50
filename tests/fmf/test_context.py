"""The context of a command line, as tmt reads it."""

import re
from pathlib import Path

import pytest
from atex_fmf import ContextError, parse_context


@pytest.mark.parametrize(
    ("arguments", "context"),
    [
        ([], {}),
        (["distro=fedora-42"], {"distro": ["fedora-42"]}),
        (["arch=x86_64,s390x", "a-b=1"], {"arch": ["x86_64", "s390x"], "a-b": ["1"]}),
        (["arch=a", "distro=b", "arch=c"], {"arch": ["c"], "distro": ["b"]}),
        (["arch=a distro=b", " "], {"arch": ["a"], "distro": ["b"]}),
        (["'arch=a b' x='#'"], {"arch": ["a b"], "x": ["#"]}),
        (["a==b=c,,d"], {"a": ["=b=c", "", "d"]}),
    ],
)
def test_words(arguments: list[str], context: dict[str, list[str]]) -> None:
    assert parse_context(arguments) == context


@pytest.mark.parametrize(
    ("name", "text", "context"),
    [
        ("c.yaml", "arch: x86_64,s390x\nversion: 5\n", {"arch": ["x86_64", "s390x"], "version": ["5"]}),
        ("c.YML", "arch: [x86_64, 5]\nfips: true\n", {"arch": ["x86_64", "5"], "fips": ["True"]}),
        ("c.yaml", "", {}),
        ("c.env", "# where\narch=x86_64 distro='b'\n\nx=y # z\n", {"arch": ["x86_64"], "distro": ["b"], "x": ["y"]}),
    ],
)  # fmt: skip
def test_files(tmp_path: Path, name: str, text: str, context: dict[str, list[str]]) -> None:
    file = tmp_path / name
    file.write_text(text)
    assert parse_context([f"@{file}"]) == context
    assert parse_context([f"arch=old @{file} more=1"]) == {
        "arch": ["old"],
        **context,
        "more": ["1"],
    }


def test_a_file_is_looked_for_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.yaml").write_text("arch: a")
    monkeypatch.chdir(tmp_path)
    assert parse_context(["@c.yaml"]) == {"arch": ["a"]}


@pytest.mark.parametrize("word", ["arch", "=x86_64", "arch=", "@", "'", "@no-such-file"])
def test_bad_words(word: str) -> None:
    with pytest.raises(ContextError, match=re.escape(word)):
        parse_context(["good=1", word])


def test_a_blank_value() -> None:
    with pytest.raises(ContextError, match="arch= "):
        parse_context(["arch=' '"])


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("c.yaml", "- arch", "a mapping of dimensions to values is wanted, not .'arch'."),
        ("c.yaml", "arch:", "arch: a value, or a list of values, is wanted, not None"),
        ("c.yaml", "arch: {a: b}", "arch: a value"),
        ("c.yaml", "arch: []", "arch: a value"),
        ("c.yaml", "arch: [[a]]", "arch: a value"),
        ("c.yaml", "arch: ''", "arch="),
        ("c.yaml", "a: b\narch: [a", "line [23]"),
        ("c.yaml", "a: b\na: c", "line 2.*duplicate key"),
        ("c.json", '{"arch": "a"}', "arch:"),
        ("c.env", "arch='a", "closing quotation"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, text: str, problem: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(ContextError, match=f"@{file}.*{problem}"):
        parse_context([f"@{file}"])


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(b"arch: \xff")
    with pytest.raises(ContextError, match=f"@{file}: .*utf-8"):
        parse_context([f"@{file}"])
