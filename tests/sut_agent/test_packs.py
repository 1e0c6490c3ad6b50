"""What a machine makes of a pack, and which it keeps."""

import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from atex_sut_agent import agent_archive
from atex_sut_agent.sut.packing import ENTRY, MAX_NAME
from atex_sut_agent.sut.unpack import Damaged, Stream, unpack
from hypothesis import given
from hypothesis import strategies as st

from tests.sut_agent.driver import wait_until
from tests.sut_agent.packs import (
    FILE,
    FOLDER,
    LINK,
    TIME,
    TREE,
    Entry,
    Receiver,
    name_of,
    pack_of,
    stream_of,
)

TOP = (FOLDER | 0o755, "tree", b"")


@pytest.fixture
def receiver(agent_python: str, tmp_path: Path) -> Receiver:
    archive = tmp_path / "agent.pyz"
    archive.write_bytes(agent_archive().data)
    return Receiver(agent_python, archive, tmp_path / "w")


def small(number: int) -> bytes:
    """One of many packs."""
    return pack_of(TOP, (FILE | 0o644, "tree/file", str(number).encode()))


def test_a_tree_arrives_as_it_is(receiver: Receiver) -> None:
    done = receiver.receive("s", b"new\n" + TREE)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"packs\nok\n", b"")
    tree = receiver.session("s") / "tree"
    assert {os.fsencode(path.relative_to(tree)) for path in tree.rglob("*")} == {
        b"a",
        b"a/script",
        b"plain",
        "\u00fc".encode(),
        b"\xff",
        b"link",
        b"nowhere",
    }
    script = (tree / "a" / "script").stat()
    assert (script.st_mode & 0o7777, script.st_mtime_ns) == (0o755, TIME)
    assert (tree / "a").stat().st_mode & 0o7777 == 0o555
    assert (tree / "link").readlink() == Path("a/script")
    assert (tree / "plain").stat().st_uid == os.getuid()
    assert [path.name for path in receiver.session("s").iterdir()] == ["tree"]


def test_special_bits_and_large_files_arrive(receiver: Receiver) -> None:
    contents = os.urandom(3_000_000)
    pack = pack_of(
        (FOLDER | 0o1777, "tree", b""),
        (FILE | 0o6755, "tree/special", contents),
        (FILE | 0o000, "tree/nobody's", b""),
    )
    assert receiver.receive("s", b"new\n" + pack).returncode == 0
    tree = receiver.session("s") / "tree"
    assert tree.stat().st_mode & 0o7777 == 0o1777
    assert (tree / "special").stat().st_mode & 0o7777 == 0o6755
    assert (tree / "special").read_bytes() == contents
    assert (tree / "nobody's").stat().st_mode & 0o7777 == 0


def test_further_trees_lie_beside_it(receiver: Receiver) -> None:
    more = [(FOLDER | 0o755, "trees", b""), (FOLDER | 0o700, "trees/one", b"")]
    assert receiver.receive("s", b"new\n" + pack_of(TOP, *more)).returncode == 0
    assert {path.name for path in receiver.session("s").iterdir()} == {"tree", "trees"}
    assert (receiver.session("s") / "trees" / "one").is_dir()


# What is no pack -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [(FILE | 0o644, "tree", b"")],
        [TOP, (FOLDER | 0o755, "other", b"")],
        [TOP, (FOLDER | 0o755, "slot", b"")],
        [TOP, (FILE | 0o644, "tree/missing/file", b"")],
        [TOP, (FILE | 0o644, "tree/../file", b"")],
        [TOP, (FILE | 0o644, "../file", b"")],
        [TOP, (FILE | 0o644, "/file", b"")],
        [TOP, (FILE | 0o644, "tree/", b"")],
        [TOP, (FILE | 0o644, "tree/.", b"")],
        [TOP, (FILE | 0o644, "", b"")],
        [TOP, (FILE | 0o644, "tree/a\0b", b"")],
        [TOP, (FILE | 0o644, "tree/" + "x" * MAX_NAME, b"")],
        [TOP, (FOLDER | 0o755, "tree/a", b"contents")],
        [TOP, (LINK | 0o777, "tree/a", b"")],
        [TOP, (LINK | 0o777, "tree/a", b"b\0c")],
        [TOP, (LINK | 0o777, "tree/a", b"x" * (MAX_NAME + 1))],
        [TOP, (0o060644, "tree/device", b"")],
        [TOP, (0o010644, "tree/pipe", b"")],
        [TOP, (LINK | 0o777, "tree/out", b"/tmp"), (FILE | 0o644, "tree/out/file", b"")],
        [TOP, (LINK | 0o777, "tree/out", b"/etc/passwd"), (FILE | 0o644, "tree/out", b"")],
        [TOP, (FILE | 0o644, "tree/twice", b""), (FILE | 0o644, "tree/twice", b"")],
        [TOP, TOP],
        [TOP, (FILE | 0o644, "tree/" + "x" * 256, b"")],
    ],
    ids=repr,
)
def test_what_is_no_tree_is_refused(receiver: Receiver, entries: list[Entry]) -> None:
    pack = pack_of(*entries)
    refused = receiver.receive("s", b"new\n" + pack)
    assert (refused.returncode, refused.stdout) == (1, b"packs\n")
    assert refused.stderr.startswith(b"atex agent: ")
    assert b"Traceback" not in refused.stderr
    assert list(receiver.session("s").iterdir()) == []
    assert receiver.kept() == set()


def test_a_stream_that_breaks_off_is_none(receiver: Receiver) -> None:
    for length in (0, 5, 20, 40, 100, len(TREE) - 100, len(TREE) - 33, len(TREE) - 1):
        failed = receiver.receive("s", b"new\n" + TREE[:length])
        assert (failed.returncode, failed.stdout) == (1, b"packs\n")
        assert failed.stderr.startswith(b"atex agent: the tree did not arrive: ")
        assert list(receiver.session("s").iterdir()) == []
    assert receiver.kept() == set()
    assert receiver.receive("s", b"new\n" + TREE).returncode == 0


@pytest.mark.parametrize("said", [b"", b"new", b"old\n", b"x" * 200, b"\xff\n", b"f" * 63 + b"\n"])
def test_nonsense_instead_of_an_answer(receiver: Receiver, said: bytes) -> None:
    refused = receiver.receive("s", said)
    assert (refused.returncode, refused.stdout) == (1, b"packs\n")
    assert refused.stderr.startswith(b"atex agent: the ")


def test_a_sha256_that_lies(receiver: Receiver) -> None:
    refused = receiver.receive("s", b"new\n" + TREE[:-1] + bytes([TREE[-1] ^ 1]))
    assert b"its sha256 differs" in refused.stderr
    assert list(receiver.session("s").iterdir()) == []
    assert receiver.kept() == set()


def test_another_version_is_told_as_such(receiver: Receiver) -> None:
    stream = stream_of(TOP, magic=b"ATEX pack 9\r\n")
    refused = receiver.receive("s", b"new\n" + stream + hashlib.sha256(stream).digest())
    assert b"no pack of this version" in refused.stderr


@given(data=st.data())
def test_a_bit_that_was_changed_is_noticed(data: st.DataObject) -> None:
    """Whatever it makes of the stream, nothing is made outside of the folder."""
    place = data.draw(st.integers(0, len(TREE) * 8 - 1))
    damaged = bytearray(TREE)
    damaged[place // 8] ^= 1 << place % 8
    with tempfile.TemporaryDirectory() as folder:
        stream = Path(folder, "stream")
        stream.write_bytes(damaged)
        inside = Path(folder, "inside")
        inside.mkdir()
        with chdir(inside), stream.open("rb") as file, pytest.raises((Damaged, OSError)):
            unpack(Stream(file.fileno(), lambda data: None))
        assert set(os.listdir(folder)) == {"stream", "inside"}


# What is kept ----------------------------------------------------------------------------------------------


def test_a_pack_that_is_kept_need_not_be_sent(receiver: Receiver) -> None:
    receiver.receive("first", b"new\n" + TREE)
    name = name_of(TREE)
    assert receiver.kept() == {name}
    assert (receiver.work / "packs").stat().st_mode & 0o7777 == 0o700
    assert (receiver.work / "packs" / name).stat().st_mode & 0o7777 == 0o600
    again = receiver.receive("second", f"{name}\n".encode())
    assert again.stdout == f"packs {name}\nok\n".encode()
    first, second = (receiver.session(session) / "tree" for session in ("first", "second"))
    assert (
        subprocess.run(["diff", "-r", "--no-dereference", first, second], check=False).returncode
        == 0
    )
    (second / "plain").write_text("a test wrote here")
    assert (first / "plain").read_text() == "x" * 5000


@pytest.mark.parametrize(
    "damage", ["a byte", "the end", "empty", "another", "a name", "a link", "a pipe"]
)
def test_a_kept_pack_that_is_damaged_is_asked_for_again(receiver: Receiver, damage: str) -> None:
    receiver.receive("first", b"new\n" + TREE)
    name = name_of(TREE)
    path = receiver.work / "packs" / name
    if damage in ("a link", "a pipe"):
        path.unlink()
        path.symlink_to("/dev/zero") if damage == "a link" else os.mkfifo(path)
    else:
        data = {
            "a byte": TREE[:200] + b"\0" + TREE[201:],
            "the end": TREE[:-1],
            "empty": b"",
            "another": small(1),
            "a name": TREE.replace(b"tree/\xff", b"tree/a"),  # twice
        }
        path.write_bytes(data[damage])
    again = receiver.receive("second", f"{name}\nnew\n".encode() + TREE)
    assert again.stdout == f"packs {name}\npacks\nok\n".encode()
    assert (receiver.session("second") / "tree" / "plain").read_text() == "x" * 5000
    assert path.read_bytes() == TREE


def test_a_pack_that_is_not_there(receiver: Receiver) -> None:
    said = receiver.receive("s", f"{name_of(TREE)}\nnew\n".encode() + TREE)
    assert said.stdout == b"packs\npacks\nok\n"


def test_only_a_few_are_kept(receiver: Receiver) -> None:
    packs = [small(number) for number in range(5)]
    for number, pack in enumerate(packs):
        receiver.receive(f"s{number}", b"new\n" + pack)
        then = time.time() - 1000 + number
        os.utime(receiver.work / "packs" / name_of(pack), (then, then))
    assert receiver.kept() == {name_of(pack) for pack in packs[-3:]}
    receiver.receive("used", f"{name_of(packs[2])}\n".encode())
    receiver.receive("next", b"new\n" + small(9))
    assert receiver.kept() == {name_of(packs[2]), name_of(packs[4]), name_of(small(9))}


def test_what_was_not_used_for_long_goes(receiver: Receiver) -> None:
    receiver.receive("s", b"new\n" + small(1))
    then = time.time() - 15 * 86400
    os.utime(receiver.work / "packs" / name_of(small(1)), (then, then))
    receiver.receive("t", b"new\n" + small(2))
    assert receiver.kept() == {name_of(small(2))}


def test_two_receive_the_same_at_the_same_time(receiver: Receiver) -> None:
    halves = TREE[:3000], TREE[3000:]
    with receiver.start("one") as one, receiver.start("two") as two:
        for process in (one, two):
            assert process.stdin is not None
            process.stdin.write(b"new\n" + halves[0])
            process.stdin.flush()
        arriving = [receiver.session(name) / "tree.partial" / "tree" for name in ("one", "two")]
        wait_until(lambda: all(tree.exists() for tree in arriving), "the tree arrives")
        for process in (one, two):
            assert process.communicate(halves[1])[0] == b"packs\nok\n"
    assert receiver.kept() == {name_of(TREE)}
    assert receiver.receive("three", f"{name_of(TREE)}\n".encode()).stdout.endswith(b"\nok\n")


def test_a_packs_folder_that_is_not_ours_alone(receiver: Receiver) -> None:
    (receiver.work / "packs").mkdir(mode=0o755, parents=True)
    refused = receiver.receive("s", b"new\n" + TREE)
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"exists, but is not a private folder" in refused.stderr


@pytest.fixture
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder with 4 MB of room, or as much as the test says."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    size = getattr(request, "param", "4m")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(receiver: Receiver, disk: Path) -> None:
    receiver.work = disk / "w"
    large = pack_of(TOP, (FILE | 0o644, "tree/large", bytes(5_000_000)))
    failed = receiver.receive("s", b"new\n" + large)
    assert failed.returncode == 1
    assert failed.stderr == b"atex agent: tree/large: No space left on device\n"
    assert list(receiver.session("s").iterdir()) == []
    assert receiver.kept() == set()


def test_a_pack_is_not_kept_where_that_takes_the_room(receiver: Receiver, disk: Path) -> None:
    receiver.work = disk / "w"
    files = [(FILE | 0o644, f"tree/{number}", bytes(900_000)) for number in range(3)]
    assert receiver.receive("s", b"new\n" + pack_of(TOP, *files)).stdout == b"packs\nok\n"
    assert {path.name for path in receiver.session("s").iterdir()} == {"tree"}
    assert receiver.kept() == set()


@pytest.mark.parametrize("disk", ["32m"], indirect=True)
def test_old_packs_make_room_for_a_new_one(receiver: Receiver, disk: Path) -> None:
    """16 MB stay free: two packs fit beside the tree that one of them is unpacked to."""
    receiver.work = disk / "w"
    packs = [pack_of(TOP, (FILE | 0o644, f"tree/{n}", bytes(5 << 20))) for n in range(3)]
    for number, pack in enumerate(packs):
        assert receiver.receive(f"s{number}", b"new\n" + pack).stdout.endswith(b"\nok\n")
        shutil.rmtree(receiver.session(f"s{number}"))
    assert receiver.kept() == {name_of(pack) for pack in packs[1:]}


def test_memory_does_not_grow_with_what_is_claimed(receiver: Receiver) -> None:
    """A file may be of any size; only what comes is held, and not for long."""
    claim = ENTRY.pack(FILE | 0o644, 9, 2**63, 0) + b"tree/file"
    stream = stream_of(TOP, end=claim)
    assert b"breaks off" in receiver.receive("s", b"new\n" + stream).stderr
    with pytest.raises(struct.error):
        ENTRY.pack(FILE, 2**16, 0, 0)  # no name is longer than that
