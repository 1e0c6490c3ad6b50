"""fmf trees for the tests."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from .repository import make_repository

Grow = Callable[[Mapping[str, str]], Path]
"""Writes files below a new tree and returns its root; the text `-> a` is a symlink to `a`."""


def write_tree(root: Path, files: Mapping[str, str]) -> Path:
    """Write the files of a tree below `root`, and return that."""
    for name, text in {".fmf/version": "1\n", **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            file.symlink_to(text.removeprefix("-> "))
        else:
            file.write_text(text)
    return root


@pytest.fixture
def grow(tmp_path: Path) -> Grow:
    return lambda files: write_tree(tmp_path / "tree", files)


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository that a plan can name; what is fetched goes into a cache of this test's own."""
    monkeypatch.setenv("FMF_CACHE_DIRECTORY", str(tmp_path / "cache"))
    folder = tmp_path / "remote"
    make_repository(folder)
    return folder
