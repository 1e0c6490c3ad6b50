"""The fixture `no_leaks`: what it names, and what it leaves alone."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plugins import leaks
from tests.workspace.conftest import InnerPytest

PLUGINS = ["tests.plugins.leaks"]

# Each test leaves one thing, which ends with the process of the test: this very pytest is looked at as well.
LEAKY = """
import os, socket, subprocess, threading
from tests.plugins import leaks

leaks.PATIENCE = 0.2
never = threading.Event()
until_we_end, held = os.pipe()
kept = []


def test_thread():
    threading.Thread(target=never.wait, name="lost", daemon=True).start()


def test_file(tmp_path):
    kept.append(open(tmp_path / "left-open", "w"))


def test_reused_descriptor(tmp_path):
    kept.pop().close()
    kept.append(open(tmp_path / "another", "w"))


def test_listener():
    kept.append(socket.create_server(("127.0.0.1", 0)))


def test_unix_listener():
    kept.append(socket.socket(socket.AF_UNIX))
    kept[-1].bind(f"\\0left-listening-{os.getpid()}")
    kept[-1].listen()


def test_child():
    kept.append(subprocess.Popen(["cat"], stdin=until_we_end, env={}))


def test_dead_child():
    kept.append(subprocess.Popen(["true"]))


def test_daemon():
    subprocess.run(["setsid", "--fork", "cat", "-"], stdin=until_we_end)


def test_nothing():
    pass
"""


@pytest.mark.parametrize("arguments", [[], ["-n2", "--dist=loadfile"]], ids=["here", "xdist"])
def test_names_what_a_test_left(inner_pytest: InnerPytest, arguments: list[str]) -> None:
    result = inner_pytest(LEAKY, *arguments, plugins=PLUGINS)
    result.assert_outcomes(passed=9, errors=8)
    result.stdout.re_match_lines_random(
        [
            r"the test left behind: daemon thread 'lost'",
            r"the test left behind: file descriptor \d+: /.*/left-open",
            r"the test left behind: file descriptor \d+: /.*/another",
            r"the test left behind: file descriptor \d+: socket:\[\d+\] tcp port \d+ \(listening\)",
            r"the test left behind: file descriptor \d+: socket:\[\d+\] unix @left-listening-\d+",
            r"the test left behind: process \d+ \(child of \d+\): cat",
            r"the test left behind: process \d+: ended and never waited for",
            r"the test left behind: process \d+ \(child of \d+\): cat -",
        ]
    )


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process


def test_fixtures_that_clean_up_are_fine(
    sleeper: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    assert sleeper.poll() is None
    (tmp_path / "file").write_text("closed")


def test_what_is_just_ending_is_waited_for() -> None:
    threading.Thread(target=time.sleep, args=[0.05]).start()


@given(st.integers())
def test_goes_with_hypothesis(number: int) -> None:
    assert number == number + 0


def test_processes_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test process is nobody's child here and carries the mark of another run."""
    with subprocess.Popen(["sleep", "60"], env={leaks.MARK: "/1/"}) as stranger:
        monkeypatch.setattr(os, "getpid", lambda: 2**22 + 1)
        assert leaks._describe_if_ours(stranger.pid) is None
        monkeypatch.undo()
        assert leaks._describe_if_ours(stranger.pid) is not None
        stranger.kill()


def test_looking_costs_next_to_nothing() -> None:
    started = time.process_time()
    for _ in range(20):
        assert leaks._Traces.now().beyond(leaks._Traces.now()) == []
    assert (time.process_time() - started) / 20 < 0.02  # seconds; typically 0.0005
