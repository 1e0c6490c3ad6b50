"""The journal of leases: what is written, by whom, and what a crash leaves."""

import errno
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from atex_provision import (
    Holder,
    JournalError,
    Lease,
    LeaseInUse,
    LeaseJournal,
    LeaseTaken,
    NoLease,
    SessionNote,
)
from atex_provision.leases import journal as journal_module
from atex_provision.leases.lease import new_name
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.provision.leases import dead_holder, living_holder, new_lease
from tests.waits import Background

KEY = "ssh one.lab:22/0"


@pytest.fixture
def journal(tmp_path: Path) -> LeaseJournal:
    return LeaseJournal(tmp_path / "leases")


def python(code: str, *arguments: object) -> str:
    """What a process with this code says."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def names(journal: LeaseJournal) -> list[str]:
    return [lease.name for lease in journal.leases()]


# What is written


def test_it_is_in_the_users_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert LeaseJournal().folder == tmp_path / "atex/leases"
    assert LeaseJournal().leases() == []
    assert not (tmp_path / "atex").exists()


def test_what_was_written_is_read(journal: LeaseJournal) -> None:
    lease = new_lease(
        resource={"container": "x"},
        purpose="a test",
        sessions=(SessionNote("ab", become=True, python="/p", work="/w"),),
    )
    journal.open(lease)
    assert journal.read(lease.name) == lease
    assert LeaseJournal(journal.folder).leases() == [lease]
    journal.remove(lease.name)
    journal.remove(lease.name)
    assert journal.leases() == []


def test_only_the_user_may_look(journal: LeaseJournal) -> None:
    lease = new_lease()
    journal.open(lease)
    file = journal.folder / f"{lease.name}.json"
    assert journal.folder.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600


def test_changes(journal: LeaseJournal) -> None:
    lease = new_lease()
    journal.open(lease)
    assert journal.update(lease.name, login="ssh there").login == "ssh there"
    assert journal.read(lease.name) == msgspec.structs.replace(lease, login="ssh there")
    with pytest.raises(NoLease, match="no lease podman-123456"):
        journal.update("podman-123456", login="")
    with pytest.raises(NoLease, match="not the name"):
        journal.read("../../etc/passwd")


def test_changes_of_many_threads_are_all_there(journal: LeaseJournal) -> None:
    lease = new_lease()
    journal.open(lease)

    def note(number: int) -> None:
        journal.amend(
            lease.name,
            lambda old: msgspec.structs.replace(
                old, sessions=(*old.sessions, SessionNote(str(number)))
            ),
        )

    for thread in [Background(lambda n=n: note(n)) for n in range(20)]:  # type: ignore[misc]
        thread.result()
    sessions = journal.read(lease.name).sessions
    assert {session.id for session in sessions} == {str(number) for number in range(20)}


def test_bad_names_are_the_callers_mistake(journal: LeaseJournal) -> None:
    with pytest.raises(ValueError, match="no name"):
        journal.open(new_lease(name="no/name-123456"))
    with pytest.raises(ValueError, match="no name for a lease of"):
        journal.open(new_lease(key=KEY, name=new_name("ssh other.lab:22/0")))
    lease = new_lease()
    journal.open(lease)
    with pytest.raises(JournalError, match="already"):
        journal.open(lease)


# Keys


def test_a_key_is_for_one_at_a_time(journal: LeaseJournal) -> None:
    first = new_lease(key=KEY, purpose="the first")
    journal.open(first)
    second = new_lease(key=KEY)
    with pytest.raises(LeaseTaken, match=r"one\.lab:22/0 is taken: process \d+ holds .*the first"):
        journal.open(second)
    journal.open(new_lease(key="ssh one.lab:22/1"))
    journal.open(new_lease(key="ssh one.lab:2/2-0"))  # another one of the same beginning
    with pytest.raises(LeaseTaken) as taken:
        journal.open(second, take_over=True)  # from ourselves
    assert taken.value.other == first


def test_a_key_is_taken_over_from_another_process(journal: LeaseJournal) -> None:
    with living_holder() as holder:
        first, second = new_lease(key=KEY, holder=holder), new_lease(key=KEY)
        journal.open(first)
        with pytest.raises(LeaseTaken):
            journal.open(second)
        journal.open(second, take_over=True)
        journal.remove(first.name)
        with pytest.raises(LeaseTaken) as taken:
            journal.open(new_lease(key=KEY))
        assert taken.value.other == second


def test_what_a_dead_process_left_blocks_nobody(journal: LeaseJournal) -> None:
    dead = new_lease(key=KEY, holder=dead_holder())
    journal.open(dead)
    given_up = new_lease(key=KEY, holder=Holder.nobody())
    journal.open(given_up)
    journal.open(new_lease(key=KEY))
    assert {dead.name, given_up.name} < set(names(journal))  # they are gc's


def test_what_was_kept_blocks_until_its_end(journal: LeaseJournal) -> None:
    kept = new_lease(key=KEY, holder=dead_holder(), kept=True)
    journal.open(kept)
    for take_over in (False, True):
        with pytest.raises(LeaseTaken, match="was kept"):
            journal.open(new_lease(key=KEY), take_over=take_over)
    journal.update(kept.name, ends=time.time())
    journal.open(new_lease(key=KEY))


RACE = """
import os, sys
from pathlib import Path
from atex_provision import LeaseJournal, LeaseTaken
from tests.provision.leases import new_lease
journal = LeaseJournal(Path(sys.argv[1]))
(start, go), (end, over) = os.pipe(), os.pipe()
for _ in range(8):
    if not os.fork():
        lease = new_lease(key=sys.argv[2])
        os.close(go)
        os.close(over)
        os.read(start, 1)
        try:
            journal.open(lease)
        except LeaseTaken:
            os._exit(1)
        os.read(end, 1)
        os._exit(0)
os.close(go)
lost = [os.wait()[1] for _ in range(7)]
os.close(over)
print(all(lost), os.wait()[1])
"""


def test_of_several_processes_one_wins(journal: LeaseJournal) -> None:
    assert python(RACE, journal.folder, KEY) == "True 0\n"
    assert len(journal.leases()) == 1


def test_of_several_threads_one_wins(journal: LeaseJournal) -> None:
    def attempt() -> bool:
        try:
            journal.open(new_lease(key=KEY))
        except LeaseTaken:
            return False
        return True

    attempts = [Background(attempt) for _ in range(8)]
    assert sum(thread.result() for thread in attempts) == 1


# Claims


def test_the_lease_of_a_dead_process_is_claimed_once(journal: LeaseJournal) -> None:
    lease = new_lease(holder=dead_holder(), sessions=(SessionNote("ab"),))
    journal.open(lease)
    claimed = journal.claim(lease.name)
    assert claimed == msgspec.structs.replace(lease, holder=Holder.myself())
    with pytest.raises(LeaseInUse, match=f"process {os.getpid()} holds"):
        journal.claim(lease.name)


def test_the_lease_of_a_living_process_is_not_claimed(journal: LeaseJournal) -> None:
    with living_holder() as holder:
        lease = new_lease(holder=holder)
        journal.open(lease)
        with pytest.raises(LeaseInUse, match=f"process {holder.pid} holds"):
            journal.claim(lease.name)
        journal.update(lease.name, kept=True)  # but what it kept is
        assert journal.claim(lease.name).kept is False


# What should not be there


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "truncated"),
        (b"\0" * 100, "malformed"),
        (b"\xff\xfe", ""),
        (b"{}", "missing required field"),
        (b"[1, 2]", "Expected `object`"),
        (b"[" * 100_000, ""),
        (b'{"none":' + b"[" * 100_000, ""),
    ],
    ids=["empty", "zeros", "binary", "nothing", "another", "deep", "deep within"],
)
def test_garbage_is_reported_and_left_alone(
    journal: LeaseJournal, content: bytes, why: str
) -> None:
    lease = new_lease(key=KEY)
    journal.open(lease)
    garbage = journal.folder / f"{new_name(KEY)}.json"
    garbage.write_bytes(content)
    assert journal.leases() == [lease]
    [problem] = journal.problems()
    assert str(garbage) in problem
    assert why in problem
    with pytest.raises(JournalError):
        journal.claim(garbage.stem)
    with pytest.raises(LeaseTaken):
        journal.open(new_lease(key=KEY))
    assert garbage.read_bytes() == content


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_what_cannot_be_read_just_now_may_be_a_lease(
    journal: LeaseJournal, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    rival = new_lease(key=KEY)
    journal.open(rival)
    really_open = os.open

    def fail(path: Any, *arguments: Any) -> int:
        if Path(path).stem == rival.name:
            raise OSError(number, os.strerror(number))
        return really_open(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        with pytest.raises(
            JournalError, match=f"{rival.name}.json cannot be read: {os.strerror(number)}"
        ):
            journal.open(new_lease(key=KEY))
        journal.open(new_lease(key=f"{KEY}1"))
    with pytest.raises(LeaseTaken):
        journal.open(new_lease(key=KEY))


def test_a_lease_under_another_name_is_none(journal: LeaseJournal) -> None:
    lease = new_lease()
    journal.open(lease)
    file = journal.folder / f"{lease.name}.json"
    (journal.folder / "copy-123456.json").write_bytes(file.read_bytes())
    assert names(journal) == [lease.name]
    assert "says that it is" in journal.problems()[0]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_what_is_no_file_is_none(journal: LeaseJournal, make: Callable[[Path], None]) -> None:
    journal.folder.mkdir(parents=True)
    make(journal.folder / "strange-123456.json")
    assert journal.leases() == []
    assert "strange-123456" in journal.problems()[0]
    make(journal.folder / f"{new_name(KEY)}.json")
    journal.open(new_lease(key=KEY))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a file of somebody else")
def test_the_file_of_another_user_is_none(journal: LeaseJournal) -> None:
    """It names the code to import."""
    lease = new_lease()
    journal.open(lease)
    os.chown(journal.folder / f"{lease.name}.json", 12345, 12345)
    assert journal.leases() == []
    assert "not a file of ours" in journal.problems()[0]


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_any_bytes_are_a_problem_and_no_crash(tmp_path_factory: Any, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("journal")
    (folder / "some-123456.json").write_bytes(content)
    journal = LeaseJournal(folder)
    assert journal.leases() == []
    assert len(journal.problems()) == 1


# What a crash leaves


KILLED = """
import os, signal, sys
from pathlib import Path
from atex_provision import LeaseJournal
journal, name = LeaseJournal(Path(sys.argv[1])), sys.argv[2]


def update(calls_left):
    def profile(frame, event, argument):
        nonlocal calls_left
        if event == "c_call":
            calls_left -= 1
            if calls_left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(profile)
    journal.update(name, purpose="new" * 1000)
    sys.setprofile(None)
    os._exit(0)


for calls in range(1000):
    if not os.fork():
        update(calls)
    killed = os.wait()[1] != 0
    [lease] = journal.leases()
    assert not journal.problems()
    assert set(os.listdir(journal.folder)) <= {".lock", ".new", name + ".json"}
    print(lease.purpose[:3])
    if not killed:
        break
    journal.update(name, purpose="old")  # nobody's lock is in the way
"""


def test_a_kill_at_any_moment_leaves_the_old_or_the_new(journal: LeaseJournal) -> None:
    """Before each call into C in turn, and every system call is one."""
    lease = new_lease(purpose="old", key=KEY)
    journal.open(lease)
    seen = python(KILLED, journal.folder, lease.name).split()
    assert seen == sorted(seen, reverse=True)  # old ... old new ... new
    assert seen.count("old") > 10
    assert seen.count("new") > 1
    assert journal.read(lease.name) == msgspec.structs.replace(lease, purpose="new" * 1000)


# What cannot be written


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    journal = LeaseJournal(file / "leases")
    with pytest.raises(JournalError, match="nothing is asked for"):
        journal.open(new_lease())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
@pytest.mark.needs("unshare", "mount")
@pytest.mark.parametrize("option", ["ro", "size=4k"])
def test_a_file_system_that_takes_no_more(tmp_path: Path, option: str) -> None:
    """Read-only, or full: what is there stays as it is, and can be read."""
    code = f"""
import os, subprocess, sys
from pathlib import Path
from atex_provision import JournalError, LeaseJournal
from tests.provision.leases import new_lease
folder = Path({str(tmp_path)!r}) / "leases"
folder.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", folder], check=True)
journal = LeaseJournal(folder)
lease = new_lease(purpose="old")
journal.open(lease)
if {option!r} == "ro":
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
else:
    (folder / ".filler").write_bytes(b"x" * 4096)
for change in (
    lambda: journal.update(lease.name, purpose="x" * 9000),
    lambda: journal.open(new_lease(purpose="x" * 9000)),
):
    try:
        change()
        sys.exit("it was written")
    except JournalError as error:
        assert "cannot be written" in str(error), error
assert journal.leases() == [lease], journal.problems()
if {option!r} != "ro":
    (folder / ".filler").unlink()
    journal.remove(lease.name)
    assert journal.leases() == []
"""
    subprocess.run(["unshare", "--mount", sys.executable, "-c", code], check=True)


def test_a_write_that_fails_halfway_leaves_the_old(
    journal: LeaseJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = new_lease()
    journal.open(lease)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(JournalError, match="Input/output error"):
        journal.update(lease.name, purpose="new")
    monkeypatch.undo()
    assert journal.leases() == [lease]


def test_nobody_waits_for_ever_for_the_lock(
    journal: LeaseJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "LOCK_TIME", 0.2)
    lease = new_lease()
    journal.open(lease)
    with (journal.folder / ".lock").open() as stopped:  # as in another process
        fcntl.flock(stopped, fcntl.LOCK_EX)
        attempts = [Background(lambda: journal.update(lease.name, purpose="x")) for _ in range(3)]
        for attempt in attempts:
            with pytest.raises(JournalError, match="is an atex stopped"):
                attempt.result()
        assert journal.leases() == [lease]
    journal.update(lease.name, purpose="x")


# What it costs


def test_a_thousand_leases_cost_next_to_nothing(journal: LeaseJournal) -> None:
    """open() finds its rivals by their names, and reads no other file."""
    journal.open(new_lease())
    text = msgspec.json.encode(new_lease(holder=dead_holder()))
    for number in range(1000):
        (journal.folder / f"other-{number:06x}.json").write_bytes(text)
    rival = new_lease(key=KEY, holder=dead_holder())
    journal.open(rival)
    read: list[Path] = []

    class Watched(LeaseJournal):
        def _read(self, path: Path) -> Lease:
            read.append(path)
            return super()._read(path)

    Watched(journal.folder).open(new_lease(key=KEY))
    assert [path.stem for path in read] == [rival.name]
