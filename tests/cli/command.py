"""The real `atex`, as a process of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from atex_orchestrator.results import read_records

ATEX = Path(sys.executable).with_name("atex")
LIMIT = 60.0  # seconds for anything that a test waits for

EACH_SIGNAL = pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "Ctrl-C"),
        (signal.SIGTERM, 143, "SIGTERM"),
        (signal.SIGHUP, 129, "SIGHUP"),
    ],
)
"""Signals that stop a command, the exit code of each, and what the command calls it."""


class Ended(msgspec.Struct, frozen=True):
    """What became of a call of `atex`."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Atex:
    """Calls `atex` in a folder of the test's own, where results go to `run`."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.tree = folder / "tree"
        self.results = folder / "run"
        self.state = Path(environment["HOME"], ".local/state/atex")
        self.ssh_config = Path(environment["HOME"], ".ssh/config")
        self.prefix: list[str] = []
        """A command that runs `atex` in some special way."""
        self._started: list[subprocess.Popen[str]] = []
        self.write(".fmf/version", "1\n")

    def write(self, name: str, text: str) -> Path:
        """Write a file of the tree."""
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        """Start `atex`; it is killed with the test, if it has not ended by then."""
        process = subprocess.Popen(
            [*self.prefix, ATEX, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def kill(self) -> None:
        """Kill what was started and has not ended."""
        for process in self._started:
            with process:
                process.kill()

    def interrupt(self) -> None:
        """Ctrl-C for what was started last."""
        self._started[-1].send_signal(signal.SIGINT)

    def wait(self) -> Ended:
        """Wait for the end of what was started last."""
        return end(self._started[-1])

    def __call__(self, *arguments: object) -> Ended:
        """Call `atex` and wait for its end."""
        return end(self.start(*arguments))

    def run(self, *arguments: object) -> Ended:
        """Call `atex run` on the tree, with `self.results` as the run folder."""
        return self("run", self.tree, "--output", self.results, *arguments)

    def start_run(self, *arguments: object) -> "subprocess.Popen[str]":
        """Start `atex run` on the tree."""
        return self.start("run", self.tree, "--output", self.results, *arguments)

    def finals(self) -> dict[str, dict[str, Any]]:
        """Return the final record of each test by its name; there must be exactly one of each."""
        records = [record for record in read_records(self.results) if record.get("final")]
        by_name = {record["test"]: record for record in records}
        assert len(by_name) == len(records)
        return by_name


def end(process: "subprocess.Popen[str]") -> Ended:
    """Wait for the end of `atex`."""
    out, err = process.communicate(timeout=LIMIT)
    return Ended(process.returncode, out, err)


def await_line(process: "subprocess.Popen[str]", word: str) -> None:
    """Read what `atex` says on stderr until a line has this word."""
    assert process.stderr is not None
    assert any(word in line for line in process.stderr), f"it never said {word!r}"


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Return when the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


def running(command: str) -> bool:
    """Return whether a process on this box has exactly this command line."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            if process.read_bytes().split(b"\0")[:-1] == command.encode().split():
                return True
    return False


def caller_environment(home: Path) -> dict[str, str]:
    """Return the environment of this process, with another HOME and without anything for ssh."""
    environment = {**os.environ, "HOME": str(home)}
    for name in ("SSH_AUTH_SOCK", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "NO_COLOR"):
        environment.pop(name, None)
    return environment
