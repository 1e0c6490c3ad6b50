"""A run of the real agent: how it starts, what it finds, what it sends."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from atex_sut_agent.protocol import Failed, Started

from tests.sut_agent.driver import Agent, Host, is_alive, wait_until, write_fifo


def test_output_and_exit_code(host: Host) -> None:
    run = host.run("echo hello; echo there >&2; exit 3")
    assert run.output == b"hello\nthere\n"
    assert (run.exited.exit_code, run.exited.signal) == (3, None)
    assert (run.exited.ended_by, run.exited.error, run.exited.left_behind) == ("itself", None, 0)
    assert isinstance(host.seen[1], Started)
    assert 0 < run.exited.seconds < 5


def test_killed_by_a_signal(host: Host) -> None:
    run = host.run("kill -SEGV $$")
    assert (run.exited.exit_code, run.exited.signal) == (None, signal.SIGSEGV)


def test_many_runs_follow_each_other(host: Host) -> None:
    for code in range(20):
        assert host.run(f"exit {code}").exited.exit_code == code


def test_one_run_at_a_time(host: Host) -> None:
    first = host.start("read -t 60 <> <(:)")
    second = host.wait(host.start("echo never"))
    assert isinstance(second.last, Failed)
    assert f"run {first} is still going on" in second.last.reason


# What it finds ---------------------------------------------------------------------------------------------


def environment_of(output: bytearray) -> dict[str, str]:
    return dict(entry.decode().split("=", 1) for entry in output.split(b"\0")[:-1])


def test_the_environment_is_a_listed_one(agent: Agent) -> None:
    login = {
        **os.environ,
        "PATH": "/opt/x/bin:/usr/bin",
        "LANG": "C.UTF-8",
        "LC_TIME": "POSIX",
        "LC_ALL": "C.UTF-8",  # else Python may set LC_CTYPE, for us or for the agent (PEP 538)
        "TZ": "Etc/GMT-3",
        "SSH_CLIENT": "10.0.0.1 5 22",
        "SSH_CONNECTION": "10.0.0.1 5 10.0.0.2 22",
        "SSH_TTY": "/dev/pts/3",
        "BASH_ENV": "/nowhere",
        "ENV": "/nowhere",
        "PYTHONPATH": "/nowhere",
        "SURPRISE": "!",
    }
    host = agent.attach(environment=login)
    found = environment_of(host.run("env -0", environment={"MINE": "a b\nc", "LANG": "C"}).output)
    folder = host.hello.folder
    path = found.pop("PATH").split(":")
    assert path[:3] == [f"{folder}/bin", "/opt/x/bin", "/usr/bin"]
    assert {"/usr/sbin", "/sbin", "/bin", "/usr/local/bin"} < set(path)
    assert len(path) == len(set(path))
    for name in ("PWD", "SHLVL", "_"):
        found.pop(name, None)  # bash's own
    ours = ("ATEX_", "TMT_")  # tests/sut_agent/test_surroundings.py
    found = {name: value for name, value in found.items() if not name.startswith(ours)}
    for name in ("HOME", "USER", "LOGNAME", "SHELL"):
        assert found.pop(name)
    found.pop("XDG_RUNTIME_DIR", None)
    found.pop("LC_CTYPE", None)
    assert found == {
        "LANG": "C",
        "LC_ALL": "C.UTF-8",
        "LC_TIME": "POSIX",
        "TZ": "Etc/GMT-3",
        "MINE": "a b\nc",
    }


def test_a_large_environment_with_odd_names(host: Host) -> None:
    environment = {f"V{number}": "x" * 100_000 for number in range(10)}
    environment |= {"odd.name-1": "1", "BASH_FUNC_x%%": "() { :; }", "\u00e9": "\u00fc"}
    environment["bytes"] = b"\xff\xfe".decode("utf-8", "surrogateescape")
    run = host.run("env -0 | sort -z | md5sum; exit 4", environment=environment)
    assert run.exited.exit_code == 4
    run = host.run("env -0", environment=environment)
    for name, value in environment.items():
        entry = f"{name}={value}\0".encode("utf-8", "surrogateescape")
        assert entry in run.output or name.startswith("BASH_FUNC")


def test_text_that_is_no_ascii_in_the_c_locale(agent: Agent) -> None:
    login = {name: value for name, value in os.environ.items() if not name.startswith("L")}
    host = agent.attach(environment={**login, "LC_ALL": "C", "TZ": "\u00e9"})
    folder = agent.work / "\u00fc"
    folder.mkdir()
    run = host.run("pwd; echo \u00e4$V$TZ", environment={"V": "\u00f6"}, folder=str(folder))
    assert run.output.decode() == f"{folder}\n\u00e4\u00f6\u00e9\n"


def test_an_environment_that_no_process_takes(host: Host) -> None:
    last = host.run("true", environment={"V": "x" * 200_000}).last
    assert isinstance(last, Failed)
    assert "environment is larger" in last.reason
    assert host.run("true").exited.exit_code == 0


@pytest.mark.parametrize("environment", [{"A=B": "1"}, {"A": "nul\0"}])
def test_an_environment_that_is_none(host: Host, environment: dict[str, str]) -> None:
    assert isinstance(host.run("true", environment=environment).last, Failed)


def test_clean_signals_and_umask(agent: Agent) -> None:
    """An ignored signal is inherited, and no trap can undo it: the agent was started with some."""
    signals = [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE, signal.SIGUSR1]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in signals}
    umask = os.umask(0o177)
    try:
        host = agent.attach()
    finally:
        os.umask(umask)
        for number, handler in before.items():
            signal.signal(number, handler)
    run = host.run(
        "grep -E '^Sig(Ign|Blk|Cgt)' /proc/self/status; umask; trap 'echo got it' INT; kill -INT $$"
    )
    lines = run.output.decode().splitlines()
    masks = {line.split(":")[0]: int(line.split()[1], 16) for line in lines[:3]}
    assert masks["SigIgn"] == masks["SigBlk"] == 0
    assert lines[3:] == ["0022", "got it"]


def test_descriptors(host: Host) -> None:
    run = host.start("echo up; read x || echo empty; while :; do sleep 0.01; done")
    host.wait_for_output(run, b"up\nempty\n")
    started = host.agent.runs[run].started
    assert started
    folder = Path(f"/proc/{started.pid}/fd")
    found = {int(entry.name): os.readlink(entry) for entry in folder.iterdir()}
    assert found.pop(0) == "/dev/null"
    assert found[1] == found.pop(2) != found[3]
    assert found.pop(1).startswith("pipe:")
    assert found.pop(3).startswith("pipe:")
    assert found.pop(100).startswith("pipe:")  # the tether, of which tests/sut_agent/test_spawn.py
    assert found.pop(255).endswith("/script")  # bash reads it there
    assert not found


def test_bash_does_not_read_the_users_bashrc(agent: Agent) -> None:
    """Debian's bash does, where SSH_CLIENT is set and it is the first shell (SHLVL)."""
    home = agent.work / "home"
    home.mkdir()
    (home / ".bashrc").write_text("echo read it\n")
    login = {**os.environ, "HOME": str(home), "SSH_CLIENT": "10.0.0.1 5 22", "SHLVL": "0"}
    assert agent.attach(environment=login).run("echo $HOME").output == f"{home}\n".encode()


# The script and its folder ---------------------------------------------------------------------------------


def test_a_long_script_with_odd_bytes(host: Host) -> None:
    filler = "# \u00e9\U0001f600 \\ ' \" $ ` \r\t\x01 " + "x" * 100 + "\n"
    raw = b"printf '\xff\xfe' | od -An -tx1\n".decode("utf-8", "surrogateescape")
    script = filler * 10_000 + raw + "exit 9"
    assert len(script) > 1_000_000
    run = host.run(script)
    assert (bytes(run.output), run.exited.exit_code) == (b" ff fe\n", 9)


def test_a_shell_that_outlives_its_run_still_reads_its_own_script(host: Host) -> None:
    """bash reads a script as it goes."""
    folder = Path(host.hello.folder)
    os.mkfifo(folder / "up")
    os.mkfifo(folder / "go")
    filler = "# nothing\n" * 20_000
    fork = "[ $# = 1 ] || { setsid bash $0 child & read <up; exit; }\necho >up; read <go\n"
    host.run(f"{fork}{filler}echo fine >done\n")
    host.run("# something else\n" * 20_000)
    write_fifo(folder / "go", b"on\n")
    wait_until((folder / "done").exists, "the end of the script")


def test_the_folder_is_not_there(host: Host) -> None:
    last = host.run("echo never", folder="/no/such/folder").last
    assert last == Failed(run=1, reason="/no/such/folder: No such file or directory")
    assert host.run("exit 5").exited.exit_code == 5


def test_what_a_failed_start_opened_is_closed_again(host: Host) -> None:
    descriptors = Path(f"/proc/{host.hello.pid}/fd")
    host.run("true")
    before = len(list(descriptors.iterdir()))
    for _ in range(5):
        host.run("true", folder="/no/such/folder")
    assert len(list(descriptors.iterdir())) == before


def test_no_room_for_the_script(agent: Agent) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a full disk")
    host = agent.attach()
    folder = host.hello.folder
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    try:
        Path(folder, "full").write_bytes(b"x" * 60_000)
        last = host.run("#" * 100_000).last
        assert isinstance(last, Failed)
        assert "No space left on device" in last.reason
        Path(folder, "full").unlink()
        assert host.run("echo fine").output == b"fine\n"
    finally:
        subprocess.run(["umount", folder], check=True)


# Output ----------------------------------------------------------------------------------------------------


def test_50_megabytes_of_garbage(host: Host) -> None:
    size = 50_000_000
    run = host.run(f"head -c {size} /dev/urandom | tee copy | md5sum >&2; cat copy", folder=None)
    assert len(run.output) == size + 36


def test_output_that_never_stops_is_cut_at_the_end(host: Host) -> None:
    """A daemon of the test goes on writing: the end takes what is there, and waits for no more."""
    writer = "echo $$ >pid; echo >up; exec yes"
    run = host.run(f"mkfifo up; setsid bash -c '{writer}' & read <up; exit 6")
    assert run.exited.exit_code == 6
    pid = int(Path(host.hello.folder, "pid").read_text())
    wait_until(lambda: not is_alive(pid), "its end: nobody reads")


def test_output_may_be_closed_early(host: Host) -> None:
    run = host.run("echo x; exec >&- 2>&-; exit 8")
    assert (bytes(run.output), run.exited.exit_code) == (b"x\n", 8)
