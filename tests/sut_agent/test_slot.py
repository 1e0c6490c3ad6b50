"""A slot of a machine has one session at a time, whoever died without a word."""

import json
import os
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from atex_sut_agent.protocol import MAX_OWNER, Bye, Exited, Restarting, Settings
from atex_sut_agent.sut import slot as slot_module
from atex_sut_agent.sut.leader import identify
from atex_sut_agent.sut.slot import Slot, Words
from hypothesis import given
from hypothesis import strategies as st

from tests.sut_agent.driver import Agent, Host, Lost, SlotTaken, is_alive, lock_files, wait_until

NOBODY = 65534
LOOP = "while :; do sleep 0.01; done"


@pytest.fixture
def name() -> Iterator[str]:
    """A slot that nobody else uses."""
    name = os.urandom(8).hex()
    yield name
    for path in lock_files(name):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)


@pytest.fixture
def first(agent_python: str, name: str) -> Iterator[Agent]:
    settings = Settings(slot=name, owner="the first one")
    with Agent(agent_python, settings=settings) as agent:
        yield agent


@pytest.fixture
def second(first: Agent) -> Iterator[Agent]:
    """Another session in the same slot and work folder."""
    settings = Settings(slot=first.settings.slot, owner="the second one")
    with Agent(first.python, work=first.work, settings=settings) as agent:
        yield agent


@pytest.fixture
def stranger(first: Agent) -> Iterator[Agent]:
    """Another session in the same slot, which knows nothing of the first one's work folder."""
    settings = Settings(slot=first.settings.slot, owner="the stranger")
    with Agent(first.python, settings=settings) as agent:
        yield agent


def up(host: Host, script: str = LOOP, **options: object) -> int:
    """Start a run and wait until it says `up`."""
    run = host.start(f"echo up; {script}", **options)  # type: ignore[arg-type]
    host.wait_for_output(run, b"up\n")
    return run


# Who has it ------------------------------------------------------------------------------------------------


def test_a_newcomer_learns_who_has_the_slot(first: Agent, second: Agent) -> None:
    up(first.attach(), test="/the/test\x1b[2J")
    with pytest.raises(SlotTaken) as taken:
        second.attach()
    busy = taken.value.busy
    assert (busy.owner, busy.session) == ("the first one", first.session)
    assert busy.test == "/the/test[2J"  # what a terminal would obey is left out
    assert abs(busy.since - time.time()) < 60
    assert busy.note == ""
    assert not second.folder.exists()


def test_also_where_the_owners_host_is_gone(first: Agent, stranger: Agent) -> None:
    host = first.attach()
    up(host)
    host.kill_bridge()
    with pytest.raises(SlotTaken):
        stranger.attach()
    first.end()
    assert stranger.attach().run("exit 3").exited.exit_code == 3


def test_another_slot_is_free(first: Agent, second: Agent) -> None:
    first.attach()
    other = second.attach(slot=second.session)
    assert other.run("exit 3").exited.exit_code == 3
    assert first.attach().run("exit 4").exited.exit_code == 4


def test_the_slot_is_free_when_the_owner_says_bye(first: Agent, stranger: Agent) -> None:
    for _ in range(5):
        for agent in (first, stranger):
            agent.attach().end()
    assert not any(path.exists() for path in lock_files(first.settings.slot))


def test_the_lock_does_not_leak_into_tests(first: Agent) -> None:
    host = first.attach()
    run = host.run("sleep 1000 & ls -l /proc/$!/fd; kill $!; exit 0")
    assert b".lock" not in run.output
    host.run("mkfifo up; setsid bash -c 'echo $$ >pid; echo >up; exec sleep 1000' & read <up")
    sleeper = int((first.folder / "pid").read_text())
    host.end()
    with Agent(first.python, settings=first.settings) as other:
        other.attach()
    os.kill(sleeper, signal.SIGKILL)


def test_anybody_may_look_and_nothing_but_words_is_there(first: Agent, name: str) -> None:
    up(first.attach(), test="/a/test")
    paths = [path for path in lock_files(name) if path.exists()]
    assert paths
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        said = json.loads(path.read_text())
        assert (said["owner"], said["test"]) == ("the first one", "/a/test")


# Owners that died without a word ---------------------------------------------------------------------------


CROWD = "sleep 1000 & timeout 1000 sleep 1000 & echo $! >other; "  # a group, and another group


def kill(agent: Agent, host: Host) -> None:
    os.kill(agent.pid, signal.SIGKILL)
    with pytest.raises(Lost):
        host.until(Exited)
    host.drop()


def crowd(host: Host) -> int:
    """Start a test with a process that outlives a killed agent; return its pid."""
    up(
        host,
        CROWD + "until [ $(cut -d ' ' -f 5 /proc/$!/stat) = $! ]; do :; done; echo ready; wait",
    )
    host.wait_for_output(host.agent.order, b"ready\n")
    return int(Path(host.hello.folder, "other").read_text())


def test_a_killed_owner_frees_it_and_its_test_is_killed_before_the_next_hello(
    first: Agent, second: Agent
) -> None:
    host = first.attach()
    survivor = crowd(host)
    kill(first, host)
    assert is_alive(survivor)
    host = second.attach()
    assert not is_alive(survivor)
    wait_until(lambda: not first.folder.exists(), "the removal of the dead session's folder")
    assert host.run("exit 3").exited.exit_code == 3


def test_a_survivor_that_may_not_be_killed_keeps_it_busy(first: Agent, stranger: Agent) -> None:
    """The words in the lock name a session of processes, but anybody could have written them."""
    host = first.attach()
    survivor = crowd(host)
    kill(first, host)
    with pytest.raises(SlotTaken) as taken:
        stranger.attach()
    assert taken.value.busy.note.startswith("that ended, but processes of its test live on: ")
    assert str(survivor) in taken.value.busy.note
    first.order = 0
    first.attach().end()  # its own session may
    assert not is_alive(survivor)
    assert stranger.attach().run("exit 3").exited.exit_code == 3


def test_folders_of_dead_sessions_are_removed_and_others_are_not(
    first: Agent, second: Agent, stranger: Agent
) -> None:
    host = first.attach()
    host.run("mkdir -p tree/a; echo x >tree/a/b")
    kill(first, host)
    elsewhere = first.work / "sessions" / ("0" * 32)
    elsewhere.mkdir(mode=0o700)
    (elsewhere / "slot").write_text("another")
    nobodys = first.work / "sessions" / ("1" * 32)
    nobodys.mkdir(mode=0o700)
    second.attach()
    assert not first.folder.exists()
    assert elsewhere.exists()
    assert nobodys.exists()
    wait_until(lambda: not list((first.work / "retired").iterdir()), "the removal")


def test_a_dead_sessions_folder_with_a_mount_in_it_stays(first: Agent, second: Agent) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to mount")
    host = first.attach()
    precious = first.work / "precious"
    precious.mkdir()
    (precious / "file").write_text("keep me")
    host.run(f"mkdir m; mount --bind {precious} m")
    try:
        kill(first, host)
        second.attach().end()
        assert (first.folder / "m/file").read_text() == "keep me"
    finally:
        subprocess.run(["umount", first.folder / "m"], check=True)


def test_a_slot_is_kept_for_a_test_that_restarts_the_machine(first: Agent, second: Agent) -> None:
    host = first.attach()
    host.start("echo restart 60 >&3; exec sleep 1000")
    host.until(Restarting)
    wait_until(lambda: words(first).until, "the words")
    kill(first, host)
    with pytest.raises(SlotTaken) as taken:
        second.attach()
    assert taken.value.busy.note.startswith("its test restarts the machine, and may be back until ")
    assert first.folder.exists()
    first.order = 0
    first.attach().drop()
    assert second.attach(take_over=True).run("exit 3").exited.exit_code == 3


def test_and_not_longer_than_that(first: Agent, second: Agent) -> None:
    host = first.attach()
    host.start("echo restart 1 >&3; exec sleep 1000")
    host.until(Restarting)
    wait_until(lambda: words(first).until, "the words")
    kill(first, host)
    wait_until(lambda: words(first).until < time.time(), "the time's end")
    assert second.attach().run("exit 3").exited.exit_code == 3


def words(agent: Agent) -> Words:
    return Slot(agent.settings.slot).words()


# Taking over -----------------------------------------------------------------------------------------------


def test_an_idle_session_makes_way_at_once(first: Agent, second: Agent) -> None:
    host = first.attach()
    assert second.attach(take_over=True).run("exit 3").exited.exit_code == 3
    assert host.until(Bye) == Bye(reason="its slot was taken over")
    assert not first.folder.exists()


def test_a_test_is_ended_as_on_timeout_before_its_session_makes_way(
    first: Agent, second: Agent
) -> None:
    host = first.attach()
    run = up(host, f"trap 'echo cleaning; read x <go; exit 5' INT; mkfifo go; echo set; {LOOP}")
    host.wait_for_output(run, b"set\n")
    with pytest.raises(SlotTaken) as taken:
        second.attach(take_over=True)
    assert taken.value.busy.note == "it was told to make way, and ends what it runs"
    host.wait_for_output(run, b"cleaning\n")
    (first.folder / "go").write_text("on\n")
    assert host.wait(run).exited.exit_code == 5
    host.until(Bye)
    assert second.attach().run("exit 3").exited.exit_code == 3


def test_after_the_grace_it_is_killed_without_a_host_too(first: Agent, second: Agent) -> None:
    host = first.attach()
    up(host, f"trap '' INT; {LOOP}", grace=0.2)
    host.kill_bridge()
    assert second.attach(take_over=True).run("exit 3").exited.exit_code == 3


def test_who_does_not_answer_is_not_taken_over(first: Agent, second: Agent) -> None:
    first.attach()
    for path in lock_files(first.settings.slot):
        if path.exists():
            path.write_text(json.dumps({"session": "0" * 32, "owner": "a liar"}))
    with pytest.raises(SlotTaken) as taken:
        second.attach(take_over=True)
    assert taken.value.busy.owner == "a liar"
    assert taken.value.busy.note.startswith("it can not be told to make way")


def test_a_session_in_another_slot_makes_no_way(first: Agent, stranger: Agent) -> None:
    """Somebody may have written its name into the words of this slot."""
    first.attach()
    stranger.attach(slot=stranger.session)
    for path in lock_files(first.settings.slot):
        if path.exists():
            path.write_text(json.dumps({"session": stranger.session}))
    third = Agent(first.python, work=first.work, settings=first.settings)
    with third, pytest.raises(SlotTaken):
        third.attach(take_over=True)
    assert stranger.attach().run("exit 3").exited.exit_code == 3


# What may stand in the place of the lock ---------------------------------------------------------------------


def plant(kind: str, path: Path, target: Path) -> None:
    if kind == "symbolic link":
        path.symlink_to(target)
    elif kind == "hard link":
        os.link(target, path)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()


PLANTED = ["symbolic link", "hard link", "fifo", "folder"]


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Two folders for locks."""
    found = [tmp_path / "run", tmp_path / "var"]
    for folder in found:
        folder.mkdir()
        folder.chmod(0o1777)
    monkeypatch.setattr(slot_module, "FOLDERS", [str(folder) for folder in found])
    return found


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_trap_is_passed_over(folders: list[Path], tmp_path: Path, kind: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    plant(kind, folders[0] / "atex-0.lock", precious)
    ours, others = Slot("0"), Slot("0")
    assert ours.take()
    assert not others.take()
    ours.introduce("me", "0" * 32)
    assert others.words().owner == "me"
    ours.release()
    assert others.take()
    others.release()
    assert precious.read_text() == "keep me"
    assert not (folders[1] / "atex-0.lock").exists()


@pytest.mark.parametrize("kind", PLANTED)
def test_where_nothing_but_traps_are_there_is_no_slot(
    folders: list[Path], tmp_path: Path, kind: str
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    for folder in folders:
        plant(kind, folder / "atex-0.lock", precious)
    with pytest.raises(OSError, match=r"no lock for slot 0: .*/run/atex-0.lock: .*; .*/var/atex-0"):
        Slot("0").take()


def test_the_agent_says_so_too(first: Agent, name: str) -> None:
    for path in lock_files(name):
        path.mkdir()
    with pytest.raises(Lost, match=f"atex agent: no lock for slot {name}: /run/lock/atex-"):
        first.attach()


def test_folders_that_are_not_there_or_take_nothing(folders: list[Path]) -> None:
    folders[0].rmdir()
    ours, others = Slot("0"), Slot("0")
    assert ours.take()
    assert not others.take()
    ours.release()


def test_a_lock_that_is_taken_away_is_made_anew(folders: list[Path]) -> None:
    ours, others = Slot("0"), Slot("0")
    assert ours.take()
    (folders[0] / "atex-0.lock").unlink()  # a cleaner of old files
    assert not others.take()  # there is the other one
    ours.release()
    assert others.take()
    others.release()


# Two users of one machine ------------------------------------------------------------------------------------

AS_NOBODY = """\
import json.decoder, json.scanner, os, sys
sys.path.insert(0, sys.argv[1])
from sut import slot
slot.FOLDERS = sys.argv[2:]
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
taken = slot.Slot("0")
got = taken.take()
print(got, taken.words().owner, len(taken.descriptors))
if got:
    taken.introduce("nobody", "0" * 32)
sys.stdout.flush()
sys.stdin.read()
"""


@contextmanager
def nobody(python: str, folders: list[Path]) -> Iterator[str]:
    """Another user tries to take the slot: whether he got it, from whom, and how many locks. He has it meanwhile."""
    if os.getuid() != 0:
        pytest.skip("needs root, to be two users")
    package = str(Path(slot_module.__file__).parents[1])
    argv = [python, "-ISc", AS_NOBODY, package, *map(str, folders)]
    with subprocess.Popen(argv, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate("")
        assert process.returncode == 0


@pytest.fixture
def open_folders(
    monkeypatch: pytest.MonkeyPatch, folders: list[Path]
) -> Iterator[tuple[Path, Path]]:
    """Like `folders`, where all users come, and with permissions as a Fedora has them."""
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        run, var = Path(top, "run"), Path(top, "var")
        run.mkdir(mode=0o755)
        var.mkdir()
        var.chmod(0o1777)
        monkeypatch.setattr(slot_module, "FOLDERS", [str(run), str(var)])
        yield run, var


def test_a_user_finds_what_root_has_taken(agent_python: str, open_folders: list[Path]) -> None:
    ours = Slot("0")
    assert ours.take()
    ours.introduce("root", "1" * 32)
    with nobody(agent_python, open_folders) as answer:
        assert answer == "False root 0"
    ours.release()


def test_root_finds_what_a_user_has_taken(agent_python: str, open_folders: list[Path]) -> None:
    with nobody(agent_python, open_folders) as answer:
        assert answer == "True  1"  # /run/lock is not his to write to
        root = Slot("0")
        assert not root.take()
        assert root.words().owner == "nobody"
    assert root.take()
    root.release()
    assert not list(open_folders[1].iterdir())


def test_a_file_that_only_its_owner_may_read_is_no_lock_for_a_user(
    agent_python: str, open_folders: list[Path]
) -> None:
    for folder in open_folders:
        (folder / "atex-0.lock").touch(mode=0o600)
    with pytest.raises(AssertionError), nobody(agent_python, open_folders) as answer:
        assert answer == ""
    (open_folders[1] / "atex-0.lock").chmod(0o644)
    with nobody(agent_python, open_folders) as answer:
        assert answer == "True  1"  # to read it is enough
        assert not Slot("0").take()


# Words that anybody may have written ---------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
FIELDS = ("owner", "test", "session", "since", "until", "leader")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON)
def test_words_are_harmless_whatever_was_written(said: object) -> None:
    words = Words(said)
    for text in (words.owner, words.test):
        assert len(text) <= MAX_OWNER
        assert text.isprintable() or not text
    assert words.session == "" or len(bytes.fromhex(words.session)) == 16
    assert 0 <= words.since < 1e11
    assert 0 <= words.until < 1e11
    assert words.survivors() == []


@pytest.mark.parametrize(
    "written", [b"", b"{", b"[" * 100_000, b"\xff" * 100, b'{"owner": "\\ud800', b" " * 5_000_000]
)
def test_what_are_no_words_are_none(folders: list[Path], written: bytes) -> None:
    for folder in folders:
        (folder / "atex-0.lock").write_bytes(written)
    words = Slot("0").words()
    assert (words.owner, words.session, words.since, words.survivors()) == ("", "", 0, [])


@given(owner=st.text(max_size=300), test=st.text(max_size=300))
def test_the_longest_words_are_read_as_they_were_said(owner: str, test: str) -> None:
    ours = Slot(os.urandom(8).hex())
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(slot_module, "FOLDERS", [folder])
        assert ours.take()
        ours.introduce("\U0001f600" * 300, "0" * 32)
        ours.tell("\\" * 300, identify(os.getpid()))
        assert len(ours.words().test) == MAX_OWNER
        ours.introduce(owner, "0" * 32)
        ours.tell(test, identify(os.getpid()))
        words = ours.words()
        assert words.owner == "".join(filter(str.isprintable, owner[:MAX_OWNER]))
        assert words.test == "".join(filter(str.isprintable, test[:MAX_OWNER]))
        ours.release()


def test_nobody_keeps_a_slot_for_longer_than_a_day(folders: list[Path]) -> None:
    assert Words({"until": time.time() + 2 * 24 * 3600}).until == 0
    ours = Slot("0")
    assert ours.take()
    ours.introduce("me", "0" * 32)
    ours.reserve(1e9)
    assert time.time() + 23 * 3600 < ours.words().until <= time.time() + 24 * 3600
    ours.release()


def test_no_words_stay_in_a_file_that_can_not_be_removed(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(path)

    ours = Slot("0")
    assert ours.take()
    ours.introduce("me", "0" * 32)
    ours.reserve(60)
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        ours.release()
    words = Slot("0").words()
    assert (words.owner, words.session, words.until) == ("", "", 0)


def test_survivors_are_those_of_this_boot_and_this_process() -> None:
    # A session of its own: the test's own may be led from outside its pid namespace, where getsid() says 0.
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True) as led:
        pid, start, *boot = identity = identify(led.pid)
        assert Words({"leader": identity}).survivors() == [pid]
        assert Words({"leader": [pid, start + 1, *boot]}).survivors() == []
        assert Words({"leader": [pid, start, "another boot", 1]}).survivors() == []
