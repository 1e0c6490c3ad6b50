"""An error says in which line the value stands that it is about, wherever fmf took it from."""

from collections.abc import Mapping

import pytest
from atex_fmf import MetadataError, discover

from .conftest import Grow

TEST = "test: 'true'\n"
PLAN = "execute: {how: tmt}\n"


def place(grow: Grow, files: Mapping[str, str]) -> str:
    """Where the first error of the tree is said to be, as FILE:LINE."""
    root = grow(files)
    with pytest.raises(MetadataError) as caught:
        discover(root, context={"distro": "fedora-42"})
    file = caught.value.file.removeprefix(f"{root}/")
    assert f"({caught.value.file}, line {caught.value.line})" in str(caught.value)
    return f"{file}:{caught.value.line}"


@pytest.mark.parametrize(
    ("where", "files"),
    [
        ("t.fmf:2", {"t.fmf": TEST + "duration: soon\n"}),
        ("main.fmf:1", {"main.fmf": "duration: soon\n", "t.fmf": TEST}),
        ("a/main.fmf:2", {"main.fmf": "tty: 1\n", "a/main.fmf": "\ntty: 2\n", "a/t.fmf": TEST}),
        ("a.fmf:2", {"a.fmf": "#\ntty: 1\n", "a/main.fmf": "tag: a\n", "a/t.fmf": TEST}),
        ("main.fmf:3", {"main.fmf": TEST + "/a/b:\n  tty: 1\n"}),
        ("main.fmf:5", {"main.fmf": TEST + "/a:\n  tty: 2\n  /b/c:\n    tty: 1\n"}),
        # Deeper wins over a later file.
        ("main.fmf:3", {"main.fmf": TEST + "/a/b:\n  tty: 1\n", "a.fmf": "tty: false\n"}),
        (
            "main.fmf:3",
            {"main.fmf": TEST + "/a/b:\n  duration~: /m/ soon/\n", "a.fmf": "duration: 5m\n"},
        ),
        # A virtual node of a file that a folder goes on with.
        ("t.fmf:2", {"t.fmf": "/a:\n  tty: 1\n", "t/a.fmf": TEST}),
    ],
)
def test_inherited(grow: Grow, where: str, files: Mapping[str, str]) -> None:
    assert place(grow, files) == where


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("main.fmf:4", TEST + "duration: 5m\n/t:\n  duration+: ' soon'\n"),
        ("main.fmf:4", TEST + "duration: 5m\n/t:\n  duration~: /m/ soon/\n"),
        ("main.fmf:2", TEST + "require: [5]\n/t:\n  require-: [bash]\n"),
        ("main.fmf:4", TEST + "require: [bash]\n/t:\n  require+: [5]\n"),
        ("main.fmf:4", TEST + "environment: {A: 1}\n/t:\n  environment+: {B: [1]}\n"),
        ("main.fmf:3", TEST + "environment:\n  A: [1]\n/t:\n  environment+: {B: 1}\n"),
        ("main.fmf:2", TEST + "environment:\n  ? [a, b]\n  : 1\n"),
        ("main.fmf:3", TEST + "/t:\n  environment: {\n    A: [1]}\n".replace("\n    ", " ")),
    ],
)
def test_merged(grow: Grow, where: str, text: str) -> None:
    assert place(grow, {"main.fmf": text}) == where


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("main.fmf:2", TEST + "adjust: {when: distro == fedora, tty: 1}\n"),
        ("main.fmf:5", TEST + "adjust:\n  - tty: true\n  - when: distro == fedora\n    tty: 1\n"),
        # The rule did not apply.
        ("main.fmf:2", TEST + "tty: 2\nadjust:\n  - when: distro == centos\n    tty: 1\n"),
        ("main.fmf:4", TEST + "duration: 5m\nadjust:\n  duration+: ' soon'\n/t:\n  tty: true\n"),
        ("main.fmf:2", TEST + "duration: soon\nadjust:\n  environment+: {A: 1}\n"),
        ("main.fmf:3", TEST + "adjust:\n  environment: {A: [1]}\n/t:\n  environment: {B: 1}\n"),
    ],
)
def test_adjusted(grow: Grow, where: str, text: str) -> None:
    assert place(grow, {"main.fmf": text}) == where


def test_adjusted_by_a_rule_of_an_ancestor(grow: Grow) -> None:
    files = {"main.fmf": "adjust+:\n  - tty: 1\n", "a/t.fmf": TEST + "adjust+:\n  - tag: x\n"}
    assert place(grow, files) == "main.fmf:2"


@pytest.mark.parametrize(
    ("where", "text"),
    [
        # A phase of a list, one that is a mapping, one that was added to others.
        ("plan.fmf:5", PLAN + "discover: {how: fmf}\nprepare:\n  - script: a\n  - order: soon\n"),
        ("plan.fmf:4", PLAN + "discover: {how: fmf}\nprepare:\n  order: soon\n"),
        (
            "plan.fmf:6",
            "discover: {how: fmf}\nprepare:\n  - script: a\n/p:\n  prepare+:\n    - order: soon\n",
        ),
        # One mapping for all phases of a list.
        ("plan.fmf:4", "prepare: [{}, {}]\n/p:\n  discover: {how: fmf}\n  prepare+: {order: a}\n"),
    ],
)
def test_phases(grow: Grow, where: str, text: str) -> None:
    assert place(grow, {"plan.fmf": text}) == where


def test_what_an_anchor_brought(grow: Grow) -> None:
    text = "/a: &common\n  manual: true\n  tty: 1\n/t:\n  <<: *common\n  manual: false\n  test: x\n"
    assert place(grow, {"main.fmf": text}) == "main.fmf:3"


def test_what_is_missing_has_the_place_of_what_it_is_missing_in(grow: Grow) -> None:
    assert place(grow, {"main.fmf": "tag: a\n/a:\n  tag: b\n  /t:\n    test:\n"}) == "main.fmf:5"
    text = "\n\n/plans/p:\n  discover:\n    tests:\n      - test: x\n"
    assert place(grow, {"main.fmf": text}) == "main.fmf:6"


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("t.fmf:3", TEST + "tag: [a]\ntag+: b\n"),
        ("t.fmf:3", TEST + "require: {type: file}\nrequire-: [[a]]\n"),
        ("t.fmf:3", TEST + "duration: 5m\nduration~: /(/x/\n"),
        ("t.fmf:4", TEST + "environment:\n  A: 1\nenvironment+: {A-: b}\n"),
        ("t.fmf:4", TEST + "adjust:\n  - tag: a\n  - when: what is this\n"),
        ("t.fmf:3", TEST + "adjust:\n  when: what is this\n"),
        ("t.fmf:3", TEST + "adjust:\n  - 1\n"),
        ("t.fmf:4", TEST + "tag: [a]\nadjust:\n  tag+: b\n"),
        ("t.fmf:2", TEST + "adjust: 1\n"),
    ],
)
def test_what_the_library_refuses(grow: Grow, where: str, text: str) -> None:
    assert place(grow, {"t.fmf": text}) == where
