"""Trees that a test has left are removed, whatever is in them."""

import os
import subprocess
from pathlib import Path

import pytest
from atex_sut_agent.sut import leftovers
from atex_sut_agent.sut.paths import clear
from atex_sut_agent.sut.removal import remove_tree


def make_deep(path: Path, depth: int = 1500) -> None:
    """Folders inside each other, with a file in each; the paths of most are too long for the kernel."""
    path.mkdir(parents=True)
    fd = os.open(path, os.O_RDONLY)
    for _ in range(depth):
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
        os.mkdir("folder", dir_fd=fd)
        inner = os.open("folder", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)


@pytest.mark.parametrize("remove", [remove_tree, clear, leftovers.remove])
def test_a_tree_of_any_depth(remove, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    make_deep(tmp_path / "tree")
    make_deep(tmp_path / "tree/another", 50)
    remove(str(tmp_path / "tree"))
    assert not (tmp_path / "tree").exists()


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("keep me")
    (tmp_path / "tree/a").mkdir(parents=True)
    (tmp_path / "tree/link").symlink_to(tmp_path / "precious")
    (tmp_path / "tree/a/link").symlink_to("../../precious")
    os.mkfifo(tmp_path / "tree/a/fifo")
    remove_tree(str(tmp_path / "tree"))
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    assert (tmp_path / "precious/file").read_text() == "keep me"


@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts")
def test_what_is_mounted_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("keep me")
    mounted = tmp_path / "tree/mounted"
    mounted.mkdir(parents=True)
    (tmp_path / "tree/file").touch()
    subprocess.run(["mount", "--bind", tmp_path / "precious", mounted], check=True)
    try:
        with pytest.raises(OSError, match="not empty"):
            remove_tree(str(tmp_path / "tree"))
        assert os.listdir(tmp_path / "tree") == ["mounted"]
        assert (mounted / "file").read_text() == "keep me"
    finally:
        subprocess.run(["umount", mounted], check=True)


def test_one_that_can_not_be_removed_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "nice", lambda by: by)
    sessions = tmp_path / "sessions"
    retired = tmp_path / "retired"
    retired.mkdir(mode=0o700)
    for number in range(5):
        make_deep(retired / str(number), 1200)
    leftovers.remove_retired(str(sessions))
    assert list(retired.iterdir()) == []
