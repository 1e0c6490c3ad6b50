"""Who dies when, beyond the session: what has left it, and what earlier runs left."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from atex_sut_agent.protocol import Cancel, HangUp
from atex_sut_agent.sut import processes

from tests.sut_agent.driver import Host, is_alive, wait_until
from tests.sut_agent.record import RunRecord

# `stray NAME` leaves a process that is in no session of ours and has lost its parent; its pid lies in the file NAME.
STRAY = """\
stray() {
    mkfifo $1.up
    setsid bash -c "(trap '' INT HUP; echo \\$BASHPID >$1; echo >$1.up; exec sleep 1000 >/dev/null 2>&1 3>&-) &" &
    read <$1.up
}
"""
WAIT = "echo up; while :; do sleep 0.01; done\n"


@pytest.fixture
def strays(host: Host) -> Iterator[Callable[[str], int]]:
    """Gives the pid of a stray; ends them all."""
    found = []

    def pid(name: str) -> int:
        found.append(int(Path(host.hello.folder, name).read_text()))
        return found[-1]

    yield pid
    for stray in found:
        if is_alive(stray):
            os.kill(stray, signal.SIGKILL)


def by_limit(host: Host, script: str) -> RunRecord:
    return host.run(script, limit=0.3, grace=0.1)


def by_cancel(host: Host, script: str) -> RunRecord:
    run = host.start(script)
    host.wait_for_output(run, b"up\n")
    host.send(Cancel(run=run, grace=0))
    return host.wait(run)


def by_abort(host: Host, script: str) -> RunRecord:
    return host.run(script.replace(WAIT, "echo abort >&3; sleep 1000"))


def by_abort_in_its_last_words(host: Host, script: str) -> RunRecord:
    """The agent reads them when the session is dead already."""
    return host.run(script.replace(WAIT, "echo abort >&3; kill -KILL $$"))


ENDS = {
    "limit": by_limit,
    "cancel": by_cancel,
    "abort": by_abort,
    "late abort": by_abort_in_its_last_words,
}


@pytest.mark.parametrize("how", ENDS)
def test_what_has_left_the_session_dies_with_a_run_that_is_ended(
    host: Host, strays: Callable[[str], int], how: str
) -> None:
    host.run(STRAY + "stray earlier")
    run = ENDS[how](host, f"{STRAY}stray one; stray two; {WAIT}")
    assert run.exited.ended_by == how.rpartition(" ")[2]
    assert run.exited.left_behind == 0
    assert not is_alive(strays("one"))
    assert not is_alive(strays("two"))
    assert is_alive(strays("earlier"))  # it had been adopted before this run began
    assert host.run("exit 3").exited.exit_code == 3


def test_what_has_left_the_session_survives_a_run_that_ends_by_itself(
    host: Host, strays: Callable[[str], int]
) -> None:
    run = host.run(STRAY + "stray one; sleep 1000 & exit 5")
    assert run.exited.exit_code == 5
    assert is_alive(strays("one"))


def test_what_has_left_the_session_survives_a_restart(
    host: Host, strays: Callable[[str], int]
) -> None:
    run = host.start(f"{STRAY}stray one; trap 'echo hup; exit 0' HUP; {WAIT}")
    host.wait_for_output(run, b"up\n")
    host.send(HangUp(run=run))
    record = host.wait(run)
    assert record.exited.ended_by == "restart"
    assert record.output.endswith(b"hup\n")
    assert is_alive(strays("one"))


def test_what_starts_its_successor_and_ends_is_caught(host: Host) -> None:
    """Each has another pid, another session and a dead parent."""
    respawn = 'echo $$ >>pids; setsid bash "$0" </dev/null >/dev/null 2>&1 3>&- &'
    script = f"cat >respawn <<'END'\n{respawn}\nEND\nsetsid bash respawn & until [ -s pids ]; do :; done; {WAIT}"
    run = by_cancel(host, script)
    assert run.exited.left_behind == 0
    pids = Path(host.hello.folder, "pids").read_text().split()
    assert not any(is_alive(int(pid)) for pid in pids)
    assert Path(host.hello.folder, "pids").read_text().split() == pids


def test_a_deep_tree_of_sessions_dies(host: Host) -> None:
    nest = '[ $1 = 0 ] && echo up; [ $1 = 0 ] || setsid bash "$0" $(($1 - 1)) & echo $$ >>pids; sleep 1000; :'
    script = f"cat >nest <<'END'\n{nest}\nEND\nbash nest 50; sleep 1000"
    run = by_cancel(host, script)
    assert run.exited.left_behind == 0
    pids = Path(host.hello.folder, "pids").read_text().split()
    assert len(pids) == 51
    assert not any(is_alive(int(pid)) for pid in pids)


def test_7_stays_7_while_strays_end(host: Host) -> None:
    """Those of an earlier run end during this one, and are reaped beside it."""
    host.run(
        "mkfifo go; for i in 1 2 3 4 5 6 7 8; do (setsid bash -c 'read <go' &); done; sleep 0.1"
    )
    run = host.run("echo >go; (setsid true &); exit 7")
    assert run.exited.exit_code == 7
    children = Path(f"/proc/{host.hello.pid}/task/{host.hello.pid}/children")
    wait_until(lambda: not children.read_text(), "the end of all of them")


def test_children_are_found_without_the_kernels_list(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        listed = processes.children()
        assert child.pid in listed

        def cannot_open(path: str, *args: object, **options: object) -> object:
            if path.endswith("/children"):
                raise FileNotFoundError(path)
            return open(path, *args, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(processes, "open", cannot_open, raising=False)
        assert sorted(processes.children()) == sorted(listed)
        child.communicate(b"\n")
