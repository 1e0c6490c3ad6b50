"""Whoever logs in: plain users, users who may become root, and what they find prepared for them."""

import os
import random
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from atex_sut_agent import BOOT_MAGIC, agent_archive, attach_command, unpack_command
from atex_sut_agent.protocol import Exited, Settings

from tests.sut_agent.driver import Agent, Lost, is_alive, wait_until
from tests.sut_agent.packs import TREE

PYTHON = "/usr/bin/python3"  # one that any user may run
SESSION = "0123456789abcdef" * 2

pytestmark = [
    pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be somebody else"),
    pytest.mark.skipif(not Path(PYTHON).exists(), reason=f"needs {PYTHON}"),
    pytest.mark.needs("setpriv", "unshare", "mount"),
]


@pytest.fixture
def uid() -> int:
    """A user without a name, and without any process."""
    return random.randrange(40_000, 60_000)


@pytest.fixture
def work(uid: int) -> Iterator[Path]:
    """A folder of that user."""
    with tempfile.TemporaryDirectory(prefix="atex-") as folder:
        os.chown(folder, uid, uid)
        yield Path(folder)


@pytest.fixture
def user(uid: int, work: Path) -> Iterator[Agent]:
    with Agent(PYTHON, work=work / "w", login=as_user(uid)) as agent:
        yield agent


def as_user(uid: int, **environment: str) -> list[str]:
    """A login of that user, in an environment where this is set."""
    become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return [*become, "env", *(f"{name}={value}" for name, value in environment.items()), "sh", "-c"]


def after(preparation: str) -> list[str]:
    """A login where this was done before, to a file system of its own."""
    return ["unshare", "--mount", "sh", "-c", f'{preparation} && exec "$@"', "sh"]


# A plain user ------------------------------------------------------------------------------------------------


def test_a_plain_user_is_enough(user: Agent, uid: int) -> None:
    host = user.attach()
    assert host.hello.user == str(uid)
    record = host.run("id -u; sleep 1000 & echo 'result {}' >&3; exit 3")
    assert (bytes(record.output), record.exited.exit_code) == (f"{uid}\n".encode(), 3)
    assert (record.results, record.exited.left_behind) == ([{}], 0)
    for folder in (user.work, user.folder):
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (uid, 0o700)
    assert host.run("sleep 1000", limit=0.1, grace=0.1).exited.ended_by == "limit"
    host.end()
    assert not user.folder.exists()


@pytest.mark.parametrize("mode", ["555", "500", "000"])
def test_folders_that_are_closed_are_removed(user: Agent, mode: str) -> None:
    """Of a tree or of a test, at the top and inside of each other."""
    host = user.attach()
    tree = f"{user.folder}/tree"
    make = (
        f"mkdir -p {tree}/a/b/c {tree}/d && touch {tree}/a/b/c/file {tree}/a/b/file {tree}/d/file"
    )
    close = f"chmod {mode} {tree}/a/b/c {tree}/a/b {tree}/a {tree}/d {tree}"
    assert host.run(f"{make} && {close}").exited.exit_code == 0
    host.end()
    retired = user.work / "retired"
    wait_until(lambda: not user.folder.exists() and not list(retired.iterdir()), "the removal")


def test_it_kills_all_it_can(user: Agent) -> None:
    host = user.attach()
    host.start("until [ -s leader ]; do :; done; kill -9 -1")
    with pytest.raises(Lost):
        host.until(Exited)
    host.drop()
    wait_until(lambda: not is_alive(user.pid), "the daemon's death")
    user.order = 0
    user.runs.clear()
    host = user.attach()
    assert host.hello.last_words == "the agent was killed"
    assert host.run("exit 3").exited.exit_code == 3


def test_somebody_elses_session_is_none_of_his(user: Agent, uid: int) -> None:
    user.attach()
    other = Agent(PYTHON, work=user.work, settings=user.settings)
    other.session = user.session
    other.login = as_user(uid + 1)
    with pytest.raises(Lost, match=r"no work folder for the agent: .*: Permission denied"):
        other.attach()
    other.work = user.work.with_name("other")  # where he may have one
    other.login = [*after(f"install -d -m 700 -o {uid + 1} {other.work}"), *as_user(uid + 1)]
    user.work.parent.chmod(0o711)
    with pytest.raises(Lost, match=f"session {user.session} belongs to another user"):
        other.attach()
    other.end()


def test_no_folder_that_he_could_use(uid: int) -> None:
    """The answer names each of them, and what is wrong with it."""
    login = after("mount -t tmpfs -o noexec,mode=1777 tmpfs /var/tmp")
    command = attach_command(agent_archive(), SESSION, python=PYTHON)
    argv = [*login, *as_user(uid, HOME="/proc/nowhere"), command]
    refused = subprocess.run(argv, stdin=-3, capture_output=True, check=False)
    assert refused.stdout.startswith(BOOT_MAGIC + b'{"error": "no work folder for the agent: ')
    said = refused.stdout.decode(errors="replace")
    assert "/proc/nowhere/.local/state/atex: No such file or directory" in said
    assert f"/var/tmp/atex-{uid}: nothing can be executed there (noexec)" in said


def test_a_var_tmp_without_execution_is_passed_over(uid: int, work: Path) -> None:
    login = after("mount -t tmpfs -o noexec,mode=1777 tmpfs /var/tmp")
    command = attach_command(agent_archive(), SESSION, python=PYTHON)
    argv = [*login, *as_user(uid, HOME=str(work)), command]
    asked = subprocess.run(argv, stdin=-3, capture_output=True, check=False)
    assert asked.stdout == BOOT_MAGIC + b'{"need": true}\n'
    assert (work / ".local/state/atex/agents").is_dir()


# One who may become root -------------------------------------------------------------------------------------


NOBODY = 65534  # sudo knows only users that have a name


@pytest.fixture
def root() -> Iterator[Agent]:
    """A session of root's, for one who is not root when he logs in."""
    with Agent(PYTHON) as agent:
        agent.become = True
        yield agent


def may_become_root(rules: Path) -> list[str]:
    Path(rules, "atex").write_text("nobody ALL=(ALL) NOPASSWD: ALL\n")
    return [
        *after(f"mount --bind {rules} /etc/sudoers.d"),
        *as_user(NOBODY, HOME="/home/of/the/user"),
    ]


@pytest.mark.needs("sudo")
def test_become(root: Agent, tmp_path: Path) -> None:
    root.login = may_become_root(tmp_path)
    host = root.attach()
    assert host.hello.user == "root"
    record = host.run('echo "$(id -u) $USER $HOME ${SUDO_USER-none}"')
    assert bytes(record.output) == b"0 root /root none\n"
    tree = subprocess.run(
        [*root.login, unpack_command(host.hello, become=True)],
        input=b"new\n" + TREE,
        capture_output=True,
        check=False,
    )
    assert (tree.stdout, tree.stderr) == (b"packs\nok\n", b"")
    assert (root.folder / "tree").stat().st_uid == 0
    host.drop()
    assert root.attach().run("exit 3").exited.exit_code == 3


@pytest.mark.needs("sudo")
def test_become_where_a_password_is_wanted(root: Agent) -> None:
    root.login = as_user(NOBODY, LC_ALL="C")
    with pytest.raises(Lost, match="a password is required"):
        root.attach()


def test_become_without_sudo(root: Agent, tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    root.login = ["env", f"PATH={tmp_path}", "sh", "-c"]
    with pytest.raises(Lost, match="sudo: not found"):
        root.attach()


# The slot is the machine's, whoever asks -------------------------------------------------------------


def test_a_user_and_root_share_the_slots(user: Agent) -> None:
    user.attach()
    with Agent(PYTHON, settings=Settings(slot=user.settings.slot)) as root:
        assert root.attach(take_over=True).run("exit 3").exited.exit_code == 3
