"""A git repository with fmf trees, for plans whose tests come from elsewhere."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

_COMMIT = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.com"]


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *_COMMIT, *arguments], cwd=folder, capture_output=True, check=True)


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def make_repository(folder: Path) -> None:
    """Two revisions, "v1" and "main", of a tree that has another tree in `deep/er`."""
    write(folder, {".fmf/version": "1\n", "t.fmf": "test: 'true'\n/old: {}\n"})
    write(folder, {"deep/er/.fmf/version": "1\n", "deep/er/x/main.fmf": "test: ls\n"})
    git(folder, "init", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--message=one")
    git(folder, "tag", "v1")
    write(folder, {"t.fmf": "test: 'true'\n/new: {path: /data}\n"})
    git(folder, "commit", "--all", "--message=two")
