"""The first contact with a machine: any shell, any Python, any folder that somebody prepared for us."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from atex_sut_agent import BOOT_MAGIC, agent_archive, attach_command, unpack_command
from atex_sut_agent.protocol import Alive, Settings

from tests.sut_agent.driver import Agent, Lost, wait_until
from tests.sut_agent.packs import TREE

SESSION = "0123456789abcdef" * 2
PYENV = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"


@pytest.fixture
def root() -> Iterator[Path]:
    """A short path below which there may be work folders."""
    with Agent(None) as agent:
        yield agent.work


def attach(
    command: str,
    *,
    shell: str = "sh",
    stdin: bytes = b"",
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [shell, "-c", command],
        input=stdin,
        env=environment,
        capture_output=True,
        timeout=30,
        check=False,
    )


# Shells and Pythons ----------------------------------------------------------------------------------------


SHELLS = ["sh", "bash", "dash", "zsh", "ksh", "mksh", "tcsh", "fish"]


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shutil.which(shell)])
def test_any_login_shell_that_is_here(shell: str, root: Path) -> None:
    with Agent(sys.executable, work=root / "work folder $x 'y'") as agent:
        agent.work.mkdir(mode=0o700)
        host = agent.attach_by([shell, "-c", agent.command()])
        assert host.run("exit 3").exited.exit_code == 3


def test_no_python_at_all(root: Path) -> None:
    empty = root / "bin"
    empty.mkdir()
    command = attach_command(
        agent_archive(), SESSION, python="/no/python $(touch x) \"'", work=str(root)
    )
    failed = attach(command, environment={"PATH": str(empty)}, shell="/bin/sh")
    assert failed.returncode == 127
    assert failed.stdout == b""
    assert (
        failed.stderr
        == b"no python3 >= 3.6 on this machine, looked at: /no/python $(touch x) \"'\n"
    )


PYTHON_2 = shutil.which("python2.7", path=os.pathsep.join(map(str, PYENV.glob("2.7*/bin"))))


@pytest.mark.parametrize("python", ["false", *filter(None, [PYTHON_2])])
def test_a_python_that_is_too_old(root: Path, python: str) -> None:
    """It says no, or knows no such syntax."""
    failed = attach(attach_command(agent_archive(), SESSION, python=python, work=str(root)))
    assert failed.returncode == 127
    assert b"no python3 >= 3.6" in failed.stderr


def test_the_first_that_works_is_taken(root: Path) -> None:
    """A python3 in PATH that is none is passed over; the agent runs on the interpreter itself, not on a wrapper."""
    folder = root / "bin"
    folder.mkdir()
    (folder / "python3").write_text("#!/bin/sh\necho noise\nexit 3\n")
    (folder / "python3").chmod(0o755)
    command = attach_command(agent_archive(), SESSION, work="relative, so refused")
    answer = attach(command, environment={"PATH": str(folder)}, shell="/bin/sh")
    found = Path("/usr/bin/python3").exists() or list(Path("/usr/bin").glob("python3.[0-9]*"))
    if not found:
        pytest.skip("needs a Python in /usr/bin")
    assert BOOT_MAGIC in answer.stdout


def test_a_login_may_print_what_it_likes(root: Path) -> None:
    with Agent(sys.executable, work=root / "w") as agent:
        agent.work.mkdir(mode=0o700)
        noise = "echo Welcome; head -c 60000 /dev/urandom; echo warning >&2; "
        assert (
            agent.attach_by(["sh", "-c", noise + agent.command()]).run("exit 3").exited.exit_code
            == 3
        )


# Settings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"slot": "../x"}, "'../x' is no name of a slot: it takes 1 to 32 letters, digits"),
        ({"slot": ""}, "no name of a slot"),
        ({"slot": "x" * 33}, "no name of a slot"),
        ({"slot": "x\n"}, "no name of a slot"),
        ({"owner": "two\nlines"}, "at most 200 printable characters"),
        ({"owner": "x" * 201}, "at most 200 printable characters"),
        ({"linger": 0}, "linger has to be more than 0"),
        ({"beat": float("inf")}, "beat has to be more than 0"),
        ({"silence": float("nan")}, "silence has to be more than 0"),
        ({"memory": -1}, "memory has to be more than 0"),
        ({"spool": -1}, "spool can not be less than 0"),
    ],
)
def test_settings_that_no_daemon_could_use_are_refused_on_the_host(
    settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        Settings(**settings)


@pytest.mark.parametrize("settings", ["", "[]", "null", '{"linger": "long"}', '{"memory": null}'])
def test_settings_that_the_agent_does_not_understand(
    agent_python: str, root: Path, settings: str
) -> None:
    with Agent(agent_python, work=root / "w") as agent:
        agent.work.mkdir(mode=0o700)
        refused = subprocess.run(
            [agent_python, "-IS", agent.archive(), "attach", SESSION, settings],
            capture_output=True,
            check=False,
        )
    assert refused.returncode == 1
    assert refused.stderr.startswith(b"atex agent: the session's settings are not understood: ")


def test_settings_may_be_given_in_part(agent: Agent) -> None:
    """By somebody who types; a host of ours gives all of them."""
    agent.archive()
    settings = json.dumps({"slot": agent.settings.slot, "beat": 0.05})
    command = [agent.python or "", "-IS", str(agent.archive()), "attach", agent.session, settings]
    host = agent.attach_by([*agent.login, shlex.join([*command, str(agent.work)])], boots=False)
    host.until(Alive)
    assert host.run("exit 3").exited.exit_code == 3


# The archive -----------------------------------------------------------------------------------------------


def test_it_is_sent_once(agent: Agent) -> None:
    agent.attach().drop()
    (sent,) = (agent.work / "agents").iterdir()
    before = sent.stat().st_mtime_ns
    agent.attach().drop()
    assert sent.stat().st_mtime_ns == before
    sent.write_bytes(b"")  # as a power cut may leave it
    agent.attach().drop()
    assert sent.read_bytes() == agent_archive().data


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (agent_archive().data[:-1], b"the connection ended inside the agent's archive"),
        (agent_archive().data[:-1] + b"x", b"the agent's archive arrived damaged"),
    ],
)
def test_an_archive_that_does_not_arrive(
    agent_python: str, root: Path, sent: bytes, reason: bytes
) -> None:
    command = attach_command(agent_archive(), SESSION, python=agent_python, work=str(root))
    failed = attach(command, stdin=sent)
    assert failed.stdout == BOOT_MAGIC + b'{"need": true}\n'
    assert failed.stderr == b"atex agent: " + reason + b"\n"
    assert failed.returncode == 1
    assert list((root / "agents").iterdir()) == []


# The work folder -------------------------------------------------------------------------------------------


def refusal(agent_python: str, work: str) -> str:
    """Why there can be no agent with this work folder."""
    agent = Agent(agent_python, work=Path(work))
    with pytest.raises(Lost) as refused:
        agent.attach()
    agent.end()
    return str(refused.value)


def test_a_folder_of_our_own_is_made(agent_python: str, root: Path) -> None:
    umask = os.umask(0)
    try:
        with Agent(agent_python, work=root / "a" / "b") as agent:
            agent.attach()
            assert agent.work.stat().st_mode & 0o777 == 0o700
            assert agent.folder.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(umask)


def test_a_planted_link_is_refused(agent_python: str, root: Path) -> None:
    (root / "real").mkdir(mode=0o700)
    (root / "link").symlink_to("real")
    said = refusal(agent_python, f"{root}/link")
    assert (
        said
        == f"no work folder for the agent: {root}/link: exists, but is not a private folder (0700) of this user"
    )
    assert list((root / "real").iterdir()) == []


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_others_may_use_is_refused(agent_python: str, root: Path, mode: int) -> None:
    (root / "w").mkdir()
    (root / "w").chmod(mode)
    assert "not a private folder" in refusal(agent_python, f"{root}/w")


def test_somebody_elses_folder_is_refused(agent_python: str, root: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to have somebody else's folder")
    (root / "w").mkdir(mode=0o700)
    os.chown(root / "w", 65534, 65534)
    assert "not a private folder" in refusal(agent_python, f"{root}/w")


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        ("relative", "not an absolute path of at most 57 bytes"),
        ("/tmp/" + "x" * 53, "not an absolute path of at most 57 bytes"),
        ("/dev/null/w", "File exists"),
        ("/proc/w", "No such file or directory"),
    ],
)
def test_a_folder_that_can_not_be(agent_python: str, work: str, reason: str) -> None:
    assert reason in refusal(agent_python, work)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("size=4k,nr_inodes=2", "No space left on device"),
        ("noexec", "nothing can be executed there (noexec)"),
        ("ro", "Read-only file system"),
    ],
)
def test_a_disk_that_is_of_no_use(agent_python: str, root: Path, options: str, reason: str) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to mount such a disk")
    disk = root / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{options},mode=700", "tmpfs", disk], check=True)
    try:
        assert reason in refusal(agent_python, f"{disk}/w")
        if options == "noexec":
            assert reason in refusal(agent_python, f"{disk}")
            assert list((disk / "w").iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_no_room_for_the_archive(agent_python: str, root: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a full disk")
    disk = root / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12k,mode=700", "tmpfs", disk], check=True)
    try:
        said = refusal(agent_python, f"{disk}/w")
        assert said.startswith(f"atex agent: {disk}/w/agents/")
        assert said.endswith(".pyz: No space left on device\n")
        assert list((disk / "w" / "agents").iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


# The tree --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_the_tree_comes_beside_the_session(agent: Agent, locale: str) -> None:
    """In whatever language; test_packs.py has the rest."""
    command = unpack_command(agent.attach().hello)
    environment = {"LC_ALL": locale, "PATH": "/usr/bin:/bin"}
    done = attach(command, stdin=b"new\n" + TREE, environment=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"packs\nok\n", b"")
    assert (agent.folder / "tree" / "a" / "script").read_text() == "#!/bin/sh\n"
    assert (agent.folder / "tree" / "\u00fc").exists()


def test_a_tree_that_is_still_arriving_goes_with_its_session(agent: Agent) -> None:
    host = agent.attach()
    command = unpack_command(host.hello)
    with subprocess.Popen(["sh", "-c", command], stdin=-1, stdout=-1, stderr=-1) as unpacking:
        assert unpacking.stdin is not None
        unpacking.stdin.write(b"new\n" + TREE[:4000])
        unpacking.stdin.flush()
        wait_until(lambda: list(agent.folder.glob("tree.partial/*")), "the tree arrives")
        host.end()
        assert not agent.folder.exists()
        _, errors = unpacking.communicate(TREE[4000:])
    assert unpacking.returncode == 1
    assert errors.startswith(b"atex agent: ")
    assert not agent.folder.exists()
    assert list((agent.folder.parent.parent / "packs").iterdir()) == []


def test_a_second_tree_is_refused(agent: Agent) -> None:
    command = unpack_command(agent.attach().hello)
    attach(command, stdin=b"new\n" + TREE)
    again = attach(command, stdin=b"new\n" + TREE)
    assert again.returncode == 1
    assert again.stderr == b"atex agent: the session has its tree already\n"
    assert (agent.folder / "tree" / "plain").exists()
