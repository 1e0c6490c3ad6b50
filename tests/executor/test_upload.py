"""The trees of a suite on their way to a machine; `unpack` of the real agent takes them."""

import os
import shlex
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from atex_executor import Executor, Pack, PackFailed, UploadFailed, upload
from atex_executor.upload import Upload
from atex_fmf import Suite, Test
from atex_provision import Channel, Connection, ConnectionLost, LocalConnection
from atex_sut_agent import agent_archive
from atex_sut_agent.sut.packing import DIGEST_SIZE, ENTRY, MAGIC

from tests.executor.conftest import Run, suite_of
from tests.waits import Background, eventually


@pytest.fixture
def local() -> Iterator[LocalConnection]:
    with LocalConnection() as connection:
        yield connection


class Machine:
    """A machine's work folder, and what lies in it."""

    def __init__(self, folder: Path) -> None:
        self._archive = folder / "agent.pyz"
        self._archive.write_bytes(agent_archive().data)
        self._work = folder / "w"
        self._sessions = 0
        self.session = folder

    def command(self) -> str:
        """The command that receives the trees of another session."""
        self._sessions += 1
        self.session = self._work / "sessions" / str(self._sessions)
        self.session.mkdir(parents=True)
        return shlex.join([sys.executable, "-IS", str(self._archive), "unpack", str(self.session)])

    @property
    def tree(self) -> Path:
        """The tree of the last session."""
        return self.session / "tree"

    @property
    def kept(self) -> list[Path]:
        """The packs."""
        return list((self._work / "packs").iterdir())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "machine").mkdir()
    return Machine(tmp_path / "machine")


class Counting(LocalConnection):
    """Counts what is sent, and how much of it at once."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0
        self.largest = 0

    def open(self, command: str, timeout: float | None = None) -> Channel:
        channel = super().open(command, timeout)
        send = channel.send

        def counted(data: bytes, timeout: float | None = None) -> None:
            self.sent += len(data)
            self.largest = max(self.largest, len(data))
            send(data, timeout)

        channel.send = counted  # type: ignore[method-assign]
        return channel


def send(
    connection: Connection, command: str, suite: Path | Suite | Pack, exclude: Sequence[str] = ()
) -> None:
    if isinstance(suite, Path):
        suite = suite_of(suite)
    pack = suite if isinstance(suite, Pack) else Pack(suite, exclude=exclude)
    try:
        with connection.open(command) as channel:
            Upload(channel, pack, connection.name).run()
    finally:
        if pack is not suite:
            pack.close()


def entries(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# What is packed --------------------------------------------------------------------------------------------


def test_modes_links_times_and_odd_names_arrive(
    local: LocalConnection, tree: Path, machine: Machine
) -> None:
    (tree / "a" / "empty").mkdir(parents=True)
    (tree / "a" / "run.sh").write_text("#!/bin/sh\n")
    (tree / "a" / "run.sh").chmod(0o750)
    os.utime(tree / "a" / "run.sh", ns=(0, 123_456_789))
    (tree / "link").symlink_to("a/run.sh")
    (tree / "broken").symlink_to("/nowhere")
    (tree / "a" / "second name").hardlink_to(tree / "a" / "run.sh")
    (tree / "nový řádek\n").write_bytes(b"x" * 3_000_000)
    (tree / "closed").mkdir(mode=0o500)
    with open(os.fsencode(tree) + b"/\xff", "wb"):
        pass
    send(local, machine.command(), tree)
    there = machine.tree
    assert entries(there) == entries(tree)
    assert (there / "a" / "run.sh").stat().st_mode & 0o7777 == 0o750
    assert (there / "a" / "run.sh").stat().st_mtime_ns == 123_456_789
    assert (there / "closed").stat().st_mode & 0o7777 == 0o500
    assert (there / "link").readlink() == Path("a/run.sh")
    assert (there / "broken").readlink() == Path("/nowhere")
    assert (there / "a" / "second name").read_text() == "#!/bin/sh\n"
    assert (there / "nový řádek\n").stat().st_size == 3_000_000


def test_what_is_left_out(local: LocalConnection, tree: Path, machine: Machine) -> None:
    for folder in (".git/objects", "sub/.git", "runs/1/files/p", "kept/files", ".fmf"):
        (tree / folder).mkdir(parents=True)
    (tree / "runs/1/results.jsonl").write_text("")
    (tree / "kept/results").write_text("")
    os.mkfifo(tree / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "socket"))
    send(local, machine.command(), tree)
    assert entries(machine.tree) == {"sub", "runs", "kept", "kept/files", "kept/results", ".fmf"}


def test_what_is_excluded(local: LocalConnection, tree: Path, machine: Machine) -> None:
    for folder in ("a/build", "build", "data/deep", "docs/html"):
        (tree / folder).mkdir(parents=True)
        (tree / folder / "x.iso").write_text("")
        (tree / folder / "y").write_text("")
    send(local, machine.command(), tree, ["build/", "*.iso", "docs/html", "/data/*/y"])
    assert entries(machine.tree) == {"a", "data", "data/deep", "docs", "docs/html"} - {"docs/html"}


def test_the_root_may_be_a_symbolic_link(
    local: LocalConnection, tree: Path, machine: Machine, tmp_path: Path
) -> None:
    (tree / "file").write_text("x")
    (tmp_path / "link").symlink_to(tree)
    send(local, machine.command(), tmp_path / "link")
    assert entries(machine.tree) == {"file"}


def test_all_trees_of_the_suite(
    local: LocalConnection, tree: Path, machine: Machine, tmp_path: Path
) -> None:
    (tree / "own").write_text("x")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("x")
    trees = {"default-0": str(tmp_path / "one"), "../a b": str(tmp_path / "two")}
    send(local, machine.command(), Suite(root=str(tree), tests=(), trees=trees))
    assert entries(machine.session) == {
        *("tree", "tree/own", "trees"),
        *("trees/default-0", "trees/default-0/one"),
        *("trees/..%2Fa b", "trees/..%2Fa b/two"),
    }


def test_equal_trees_have_equal_packs(tree: Path, tmp_path: Path) -> None:
    """Whatever results lie in them."""
    for name in ("b", "a", "c"):
        (tree / name).write_text(name)
    (tree / "runs").mkdir()
    copy = shutil.copytree(tree, tmp_path / "copy")
    (copy / "runs" / "1" / "files").mkdir(parents=True)
    (copy / "runs" / "1" / "results.jsonl").write_text("")
    assert digest_of(tree) == digest_of(copy)
    (copy / "a").chmod(0o755)
    assert digest_of(tree) != digest_of(copy)


def digest_of(tree: Path) -> str:
    with Pack(suite_of(tree)) as pack:
        return pack.reader().digest()


# What is kept there ----------------------------------------------------------------------------------------


def test_a_machine_that_has_it_is_not_sent_it_again(tree: Path, machine: Machine) -> None:
    (tree / "large").write_bytes(os.urandom(1_000_000))
    with Counting() as connection:
        send(connection, machine.command(), tree)
        assert connection.sent > 1_000_000
        before = connection.sent
        send(connection, machine.command(), tree)
        assert connection.sent - before < 100
        assert (machine.tree / "large").stat().st_size == 1_000_000
        (tree / "large").write_bytes(b"other")
        send(connection, machine.command(), tree)
        assert (machine.tree / "large").read_bytes() == b"other"
        assert len(machine.kept) == 2


def test_a_slow_line_has_time_for_each_piece(tree: Path, machine: Machine) -> None:
    """Of 2 KiB a second."""
    (tree / "large").write_bytes(os.urandom(1_000_000))
    with Counting() as connection:
        send(connection, machine.command(), tree)
        assert 0 < connection.largest / upload._STALL_LIMIT <= 2048


def test_what_is_damaged_there_is_sent_again(
    local: LocalConnection, tree: Path, machine: Machine
) -> None:
    (tree / "file").write_text("x")
    send(local, machine.command(), tree)
    (pack,) = machine.kept
    pack.write_bytes(pack.read_bytes()[:-40])
    send(local, machine.command(), tree)
    assert (machine.tree / "file").read_text() == "x"


def test_one_pack_for_many_machines(local: LocalConnection, tree: Path, tmp_path: Path) -> None:
    """It is read once, and stays what it was."""
    (tree / "file").write_text("before")
    (tree / "large").write_bytes(os.urandom(1_000_000))
    machines = []
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        machines.append(Machine(tmp_path / name))
    with Pack(suite_of(tree)) as pack:
        commands = [machine.command() for machine in machines]
        sending = [Background(partial(send, local, command, pack)) for command in commands[:2]]
        for each in sending:
            each.result()
        shutil.rmtree(tree)
        send(local, commands[2], pack)
    for machine in machines:
        assert (machine.tree / "file").read_text() == "before"
        assert (machine.tree / "large").stat().st_size == 1_000_000


# What goes wrong -------------------------------------------------------------------------------------------


def test_a_tree_that_is_not_there(local: LocalConnection, tmp_path: Path, machine: Machine) -> None:
    message = "the tree can not be read: .*/none: No such file or directory"
    with pytest.raises(UploadFailed, match=message):
        send(local, machine.command(), tmp_path / "none")


def test_a_file_that_can_not_be_read_is_named(
    local: LocalConnection, tree: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "first").write_bytes(bytes(1_000_000))
    (tree / "secret").write_text("x")
    whole = os.open

    def refusing(path: str | bytes, flags: int, *more: int) -> int:
        if os.fsencode(path).endswith(b"/secret"):  # root can read everything
            raise PermissionError(13, "Permission denied", path)
        return whole(path, flags, *more)

    monkeypatch.setattr("atex_executor.packing.os.open", refusing)
    with pytest.raises(PackFailed, match=r"the tree can not be read: .*/secret: Permission"):
        send(local, machine.command(), tree)
    # What had arrived goes with its session: who unpacks it may be killed with the channel.
    assert not (machine.session / "tree").exists()


Meddle = Callable[[Callable[[], object], int], None]


@pytest.fixture
def meddle(monkeypatch: pytest.MonkeyPatch) -> Meddle:
    """`meddle(call, times)`: calls it right after the packer has read something, so often."""

    def meddle(call: Callable[[], object], times: int) -> None:
        pread = os.pread
        left = iter(range(times))

        def meddling(fd: int, size: int, position: int) -> bytes:
            data = pread(fd, size, position)
            if size and next(left, None) is not None:
                call()
            return data

        monkeypatch.setattr("atex_executor.packing.os.pread", meddling)

    return meddle


def contents_of(tree: Path) -> bytes:
    """Of the one file in a tree, as it is packed."""
    with Pack(suite_of(tree)) as pack:
        stream = b"".join(pack.reader().blocks())
    _, _, size, _ = ENTRY.unpack_from(stream, len(MAGIC) + ENTRY.size + len("tree"))
    return stream[-size - ENTRY.size - DIGEST_SIZE :][:size]


def test_a_file_that_was_just_written_to_is_read_again(tree: Path, meddle: Meddle) -> None:
    file = tree / "file"
    file.write_text("before")
    meddle(lambda: file.write_text("then"), 1)
    assert contents_of(tree) == b"then"


def test_a_clock_that_was_set_back(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes to a file that was changed in the future."""
    (tree / "file").write_text("x")
    now = time.time_ns
    monkeypatch.setattr("atex_executor.packing.time.time_ns", lambda: now() - 3600 * 10**9)
    assert contents_of(tree) == b"x"


@pytest.mark.parametrize("size", [10_000, 3_000_000])
def test_a_file_that_changes_all_the_time_is_an_error(
    tree: Path, meddle: Meddle, size: int
) -> None:
    file = tree / "file"
    file.write_bytes(b"a" * size)
    meddle(lambda: file.write_bytes(os.urandom(1) * size), 1000)
    with pytest.raises(PackFailed, match="/file: somebody writes to it all the time"):
        contents_of(tree)


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_log_that_grows_is_packed_as_it_was(tree: Path, meddle: Meddle, size: int) -> None:
    file = tree / "log"
    file.write_bytes(b"a" * size)

    def grow() -> None:
        with file.open("ab") as log:
            log.write(b"a line\n")

    meddle(grow, 1000)
    packed = contents_of(tree)
    assert len(packed) >= size
    assert file.read_bytes().startswith(packed)


def test_a_large_file_that_shrinks_is_an_error(tree: Path, meddle: Meddle) -> None:
    file = tree / "file"
    file.write_bytes(bytes(3_000_000))
    meddle(lambda: os.truncate(file, 5), 1)
    with pytest.raises(PackFailed, match="/file: somebody writes to it"):
        contents_of(tree)


def test_a_large_file_that_only_gets_another_mode(tree: Path, meddle: Meddle) -> None:
    file = tree / "file"
    file.write_bytes(b"a" * 3_000_000)
    meddle(lambda: file.chmod(0o600), 1)
    assert contents_of(tree) == b"a" * 3_000_000


def test_a_time_that_has_no_room_in_a_pack(
    local: LocalConnection, tree: Path, machine: Machine
) -> None:
    (tree / "file").write_text("x")
    os.utime(tree / "file", (20_000_000_000, 20_000_000_000))  # the year 2603
    send(local, machine.command(), tree)
    there = (machine.tree / "file").stat().st_mtime_ns
    assert there == min((tree / "file").stat().st_mtime_ns, 2**63 - 1)


def test_what_is_gone_before_it_is_read_is_left_out(
    local: LocalConnection, tree: Path, machine: Machine, meddle: Meddle
) -> None:
    for name in ("a", "file", "folder/file"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text("x")
    (tree / "link").symlink_to("a")

    def clean_up() -> None:
        (tree / "file").unlink()
        (tree / "link").unlink()
        shutil.rmtree(tree / "folder")

    meddle(clean_up, 1)
    send(local, machine.command(), tree)
    assert entries(machine.tree) == {"a"}


def test_a_tree_that_is_gone_before_it_is_read(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def late(path: bytes) -> object:
        shutil.rmtree(tree)
        return scandir(path)

    monkeypatch.setattr("atex_executor.packing.os", SimpleNamespace(**vars(os) | {"scandir": late}))
    with pytest.raises(UploadFailed, match=f"the tree can not be read: {tree}: No such file"):
        digest_of(tree)


def test_no_room_for_the_pack(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/dev/null")
    with Pack(suite_of(tree)) as pack:
        message = r"the tree can not be packed in /dev/null \(TMPDIR\): Not a directory"
        with pytest.raises(PackFailed, match=message):
            pack.reader().digest()


@pytest.mark.parametrize("command", ["cat >/dev/null", "head -c 1 >/dev/null"])
def test_the_reason_of_the_machine_is_told(
    local: LocalConnection, tree: Path, command: str
) -> None:
    (tree / "large").write_bytes(os.urandom(4_000_000))
    with pytest.raises(UploadFailed, match="local: the tree can not be stored there: no room"):
        send(local, f"echo packs; {command}; echo 'no room' >&2; exit 1", tree)


def test_a_machine_that_says_nothing_of_the_kind(local: LocalConnection, tree: Path) -> None:
    with pytest.raises(UploadFailed, match=r"local: .*: exit code 0"):
        send(local, "echo perhaps", tree)
    with pytest.raises(UploadFailed, match="something else answers"):
        send(local, "exec yes", tree)


def test_what_a_login_prints_is_skipped(
    local: LocalConnection, tree: Path, machine: Machine
) -> None:
    send(local, f"echo welcome; {machine.command()}", tree)
    assert machine.tree.exists()


def test_a_lost_connection_is_told_as_such(local: LocalConnection, tree: Path) -> None:
    (tree / "large").write_bytes(os.urandom(4_000_000))
    sending = Background(lambda: send(local, "echo packs; sleep 60", tree))
    eventually(lambda: threading.active_count() > 1)
    local.close()
    with pytest.raises(
        ConnectionLost, match=r"local: (lost while the tree was sent|not connected)"
    ):
        sending.result()


def test_a_pack_that_is_closed(tree: Path) -> None:
    """Who still waits for it is told."""
    pack = Pack(suite_of(tree))
    pack.close()
    pack.close()
    with pytest.raises(PackFailed, match="the pack was closed"):
        pack.reader().digest()
    pack.close()


def test_who_waits_for_a_pack_can_be_called_off(tree: Path) -> None:
    os.mkfifo(tree.parent / "gate")
    (tree / "file").write_text("x")

    def walk(*_: object) -> bytes:
        with (tree.parent / "gate").open("rb") as gate:  # until somebody opens it for writing
            return gate.read()

    with Pack(suite_of(tree)) as pack, pytest.MonkeyPatch.context() as patch:
        patch.setattr("atex_executor.pack.pack_trees", walk)
        reader, other = pack.reader(), pack.reader()
        waiting = Background(reader.digest)
        reader.give_up()
        with pytest.raises(UploadFailed, match="the upload was given up") as raised:
            waiting.result()
        assert not isinstance(raised.value, PackFailed)
        (tree.parent / "gate").write_bytes(bytes(32))
        assert other.digest() == "00" * 32


# Tests of several trees ------------------------------------------------------------------------------------


def test_a_test_runs_in_its_tree(
    connection: Connection, tree: Path, tmp_path: Path, work: str, run: Run
) -> None:
    other = tmp_path / "other"
    (other / "deep").mkdir(parents=True)
    (other / "deep" / "file").write_text("from the other\n")
    (tree / "file").write_text("from the own\n")
    script = "cat file; basename $TMT_TREE; cat $TMT_TREE/file"
    suite = Suite(
        root=str(tree),
        tests=(
            Test(name="/own", test=script),
            Test(name="/other", test=script, tree="other/1", path="/deep"),
        ),
        trees={"other/1": str(other)},
    )
    with Executor(connection, suite, work=work) as executor:
        for test in suite.tests:
            assert executor.run(test, run.sink).status == "pass"
    own, second = map(run.output, run.records())
    assert own == "from the own\ntree\nfrom the own\n"
    assert second == "from the other\ntree\nfrom the own\n"


def test_executors_share_a_pack(local: LocalConnection, tree: Path, work: str, run: Run) -> None:
    (tree / "file").write_text("x")
    (tree / "left-out").write_text("x")
    suite = suite_of(tree, "ls")
    with Pack(suite, exclude=["left-*"]) as pack:
        for attempt in (1, 2):
            with Executor(local, suite, work=work, pack=pack) as executor:
                executor.run(suite.tests[0], run.sink, attempt=attempt)
    assert [run.output(record) for record in run.records()] == ["file\n", "file\n"]


def test_a_tree_that_can_not_be_brought_leaves_nothing_there(
    connection: Connection, tree: Path, work: str
) -> None:
    executor = Executor(connection, suite_of(tree, "true"), work=work)
    shutil.rmtree(tree)
    with pytest.raises(PackFailed, match="the tree can not be read"):
        executor.start()
    assert executor.left is None
    assert not list(Path(work).glob("sessions/*"))
