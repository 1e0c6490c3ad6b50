"""upload() and download(): whole files or none, and names that a shell would take apart."""

import os
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from atex_provision.connection.base import Connection
from atex_provision.errors import ConnectionLost, ProvisionError
from atex_provision.testing.connection.commands import MEGABYTE
from atex_provision.testing.suite import Suite
from atex_provision.testing.waits import Background, eventually

HUGE = 1 << 30  # bytes of a file without any blocks: nobody copies that before he is stopped
ODD_NAMES = ["it's", 'a "b" c', "$HOME `id`", "-rf", "*", "back\\slash", "two\nlines", "čau ☃"]


class Files(Suite):
    """Copies of files."""

    __test__ = False

    @pytest.mark.parametrize("size", [0, 5, 3 * MEGABYTE])
    def test_files_go_both_ways(
        self, connection: Connection, folder: str, tmp_path: Path, size: int
    ) -> None:
        source, back = tmp_path / "source", tmp_path / "back"
        source.write_bytes(os.urandom(size))
        connection.upload(source, f"{folder}/target")
        connection.download(f"{folder}/target", back)
        assert back.read_bytes() == source.read_bytes()
        assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
            "back",
            "source",
        ]
        assert listing(connection, folder) == ["target"]

    @pytest.mark.parametrize("mode", [0o755, 0o640, 0o400])
    def test_permissions_go_along(
        self, connection: Connection, folder: str, tmp_path: Path, mode: int
    ) -> None:
        source = tmp_path / "source"
        source.write_text("#!/bin/sh\necho runs\n")
        source.chmod(mode)
        connection.upload(source, f"{folder}/target")
        said = connection.run(f"stat -c %a {folder}/target; {folder}/target").stdout.split()
        assert said == [b"%o" % mode, b"runs"][: 2 if mode & stat.S_IXUSR else 1]

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_odd_names(
        self, connection: Connection, folder: str, tmp_path: Path, name: str
    ) -> None:
        source, back = tmp_path / name, tmp_path / f"{name} again"
        source.write_text(name)
        target = f"{folder}/{name}"
        connection.upload(source, target)
        assert connection.run(f"cat {shlex.quote(target)}").stdout.decode() == name
        connection.download(target, back)
        assert back.read_text() == name

    def test_a_file_takes_the_place_of_another(
        self, connection: Connection, folder: str, tmp_path: Path
    ) -> None:
        old, new, here = tmp_path / "old", tmp_path / "new", tmp_path / "here"
        old.write_text("old, and longer")
        new.write_text("new")
        here.write_text("old, and longer")
        connection.upload(old, f"{folder}/target")
        connection.upload(new, f"{folder}/target")
        connection.download(f"{folder}/target", here)
        assert here.read_text() == "new"
        assert listing(connection, folder) == ["target"]

    def test_what_cannot_be_uploaded(
        self, connection: Connection, folder: str, tmp_path: Path
    ) -> None:
        source = tmp_path / "source"
        source.write_bytes(bytes(20 * MEGABYTE))
        target = f"{folder}/nowhere/at all"
        with pytest.raises(ProvisionError, match="cannot write") as caught:
            connection.upload(source, target)
        assert connection.name in str(caught.value)
        assert str(caught.value).partition(target)[2].strip(": ")  # what the machine says of it
        with pytest.raises(ProvisionError, match="cannot write"):
            connection.upload(source, folder)
        with pytest.raises(FileNotFoundError):
            connection.upload(tmp_path / "missing", f"{folder}/target")
        assert listing(connection, folder) == []

    def test_what_cannot_be_downloaded(
        self, connection: Connection, folder: str, tmp_path: Path
    ) -> None:
        target = tmp_path / "target"
        target.write_text("as it was")
        for source in (f"{folder}/missing", folder):
            with pytest.raises(ProvisionError, match="cannot read") as caught:
                connection.download(source, target)
            assert str(caught.value).partition(source)[2].strip(": ")
        with pytest.raises(FileNotFoundError):
            connection.download("/etc/passwd", tmp_path / "nowhere/target")
        assert target.read_text() == "as it was"
        assert [path for path in tmp_path.iterdir() if path.is_file()] == [target]

    def test_half_an_upload_is_none(
        self,
        connection: Connection,
        new_connection: Callable[[], Connection],
        folder: str,
        tmp_path: Path,
    ) -> None:
        source = tmp_path / "source"
        with source.open("wb") as file:
            file.truncate(HUGE)
        connection.run(f"echo as it was >{folder}/target")
        uploading = Background(lambda: connection.upload(source, f"{folder}/target"))
        with new_connection() as other:
            eventually(lambda: len(listing(other, folder)) > 1, "the upload begins")
            connection.close()
            with pytest.raises(ConnectionLost):
                uploading.result()
            assert other.run(f"cat {folder}/target").stdout == b"as it was\n"

    def test_half_a_download_is_none(
        self, connection: Connection, folder: str, tmp_path: Path
    ) -> None:
        place = tmp_path / "place"
        place.mkdir()
        target = place / "target"
        target.write_text("as it was")
        connection.run(f"truncate -s {HUGE} {folder}/source")
        downloading = Background(lambda: connection.download(f"{folder}/source", target))
        eventually(lambda: len(list(place.iterdir())) > 1, "the download begins")
        connection.close()
        with pytest.raises(ConnectionLost):
            downloading.result()
        assert target.read_text() == "as it was"
        assert list(place.iterdir()) == [target]


def listing(connection: Connection, folder: str) -> list[str]:
    """The names in a folder on the machine."""
    return connection.run(f"ls -A {folder}").stdout.decode().splitlines()
