"""The tree on its way to a machine."""

import os
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from atex_executor import UploadFailed
from atex_executor.upload import upload
from atex_provision import Connection, ConnectionLost, LocalConnection

from tests.waits import Background


@pytest.fixture
def local() -> Iterator[LocalConnection]:
    with LocalConnection() as connection:
        yield connection


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def unpack_to(target: Path) -> str:
    return f"tar -C {shlex.quote(str(target))} --no-same-owner -xpf - && echo ok"


def send(connection: Connection, command: str, root: Path) -> None:
    with connection.open(command) as channel:
        upload(channel, root, connection.name)


def entries(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_modes_links_and_odd_names_arrive(local: LocalConnection, tree: Path, target: Path) -> None:
    (tree / "a" / "empty").mkdir(parents=True)
    (tree / "a" / "run.sh").write_text("#!/bin/sh\n")
    (tree / "a" / "run.sh").chmod(0o750)
    (tree / "link").symlink_to("a/run.sh")
    (tree / "broken").symlink_to("/nowhere")
    (tree / "a" / "second name").hardlink_to(tree / "a" / "run.sh")
    (tree / "nový řádek\n").write_bytes(b"x" * 1_000_000)
    with open(os.fsencode(tree) + b"/\xff", "wb"):
        pass
    send(local, unpack_to(target), tree)
    assert entries(target) == entries(tree)
    assert (target / "a" / "run.sh").stat().st_mode & 0o7777 == 0o750
    assert (target / "link").readlink() == Path("a/run.sh")
    assert (target / "broken").readlink() == Path("/nowhere")
    assert (target / "a" / "second name").read_text() == "#!/bin/sh\n"
    assert (target / "nový řádek\n").stat().st_size == 1_000_000


def test_what_is_left_out(local: LocalConnection, tree: Path, target: Path) -> None:
    for folder in (".git/objects", "sub/.git", "runs/1/files/p", "kept/files", ".fmf"):
        (tree / folder).mkdir(parents=True)
    (tree / "runs/1/results.jsonl").write_text("")
    (tree / "kept/results").write_text("")
    os.mkfifo(tree / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "socket"))
    send(local, unpack_to(target), tree)
    assert entries(target) == {"sub", "runs", "kept", "kept/files", "kept/results", ".fmf"}


def test_the_root_may_be_a_symbolic_link(
    local: LocalConnection, tree: Path, target: Path, tmp_path: Path
) -> None:
    (tree / "file").write_text("x")
    (tmp_path / "link").symlink_to(tree)
    send(local, unpack_to(target), tmp_path / "link")
    assert entries(target) == {"file"}


def test_a_tree_that_is_not_there(local: LocalConnection, tmp_path: Path) -> None:
    with pytest.raises(UploadFailed, match=r"No such file or directory: .*/none"):
        send(local, "cat >/dev/null; echo ok", tmp_path / "none")


@pytest.mark.parametrize(
    "command",
    [
        "cat >/dev/null; echo 'no room' >&2; exit 1",
        "head -c 1 >/dev/null; echo 'no room' >&2; exit 1",
    ],
)
def test_the_reason_of_the_machine_is_told(
    local: LocalConnection, tree: Path, command: str
) -> None:
    (tree / "large").write_bytes(os.urandom(4_000_000))
    with pytest.raises(UploadFailed, match="local: the tree can not be stored there: no room"):
        send(local, command, tree)


def test_a_machine_that_says_something_else(local: LocalConnection, tree: Path) -> None:
    with pytest.raises(UploadFailed, match="perhaps"):
        send(local, "cat >/dev/null; echo perhaps", tree)


def test_a_lost_connection_is_told_as_such(local: LocalConnection, tree: Path) -> None:
    (tree / "large").write_bytes(os.urandom(4_000_000))
    with local.open("sleep 60") as channel:
        sending = Background(lambda: upload(channel, tree, "local"))
        local.close()
        with pytest.raises(ConnectionLost, match="local: lost while the tree was sent"):
            sending.result()
