"""No test leaves anything behind: the fixture `no_leaks`, which every test gets.

Looked at are the threads and the file descriptors of this process (a listening socket is one of them) and the
processes that came up meanwhile. Such a process is ours if one of its ancestors is this process, or if it or an
ancestor carries our mark in its environment: the mark finds a daemon that has left its parent. (What sshd starts has
an environment of its own, but `tests.machines` keeps it below a process that is marked.)

What is there before a test (fixtures of a wider scope, the threads of xdist) is no concern of that test. A fixture of
a wider scope that a test asks for by `getfixturevalue` comes up too late to be spared; name it as an argument.

Nothing is ended or reaped here: whoever started it must do that, and learns here that he did not.
"""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PATIENCE = 30.0  # seconds that threads and processes have, after their test, to end
MARK = "ATEX_TEST_RUN"  # environment variable: the pids of the test processes around a process, "/12//34/"


def pytest_configure() -> None:
    # Added, not replaced: what a pytest inside a test starts is the outer test's as well.
    os.environ[MARK] = f"{os.environ.get(MARK, '')}/{os.getpid()}/"


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    before = _Traces.now()
    yield
    deadline = time.monotonic() + PATIENCE
    while leaks := _Traces.now().beyond(before):
        if time.monotonic() > deadline:
            pytest.fail("\n".join(f"the test left behind: {leak}" for leak in leaks), pytrace=False)
        time.sleep(0.01)


@dataclass(frozen=True)
class _Traces:
    threads: frozenset[threading.Thread]
    descriptors: dict[int, str]
    processes: frozenset[int]

    @classmethod
    def now(cls) -> "_Traces":
        return cls(frozenset(threading.enumerate()), _descriptors(), _processes())

    def beyond(self, before: "_Traces") -> list[str]:
        """What is here and was not there, one line each."""
        threads = self.threads - before.threads
        descriptors = self.descriptors.items() - before.descriptors.items()
        processes = self.processes - before.processes
        return [
            *(f"{'daemon ' * t.daemon}thread {t.name!r}" for t in threads if t.is_alive()),
            *(f"file descriptor {number}: {_describe(target)}" for number, target in descriptors),
            *(line for pid in sorted(processes) if (line := _describe_if_ours(pid))),
        ]


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except (
            FileNotFoundError
        ):  # the descriptor that listdir itself used, or one that a thread has just closed
            continue
    return found


def _describe(target: str) -> str:
    """The target of a descriptor; for a socket, what it is bound to."""
    if not target.startswith("socket:["):
        return target
    inode = target.removeprefix("socket:[").removesuffix("]")
    for protocol in ("tcp", "tcp6"):
        for line in Path("/proc/self/net", protocol).read_text().splitlines()[1:]:
            (
                _,
                local,
                remote,
                state,
                *_,
            ) = fields = line.split()
            if fields[9] == inode:
                listening = " (listening)" if state == "0A" else f" to port {_port(remote)}"
                return f"{target} {protocol} port {_port(local)}{listening}"
    for line in Path("/proc/self/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[6] == inode:
            return f"{target} unix {' '.join(fields[7:])}".rstrip()
    return target


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], base=16)


def _processes() -> frozenset[int]:
    return frozenset(int(name) for name in os.listdir("/proc") if name.isdecimal())


def _describe_if_ours(pid: int) -> str | None:
    """One line about a process that this process has to answer for, None for all others."""
    try:
        state, parent = _state_and_parent(pid)
        if (
            state == "Z"
        ):  # an orphan only waits for init, which may take its time; a child waits for us
            return f"process {pid}: ended and never waited for" if parent == os.getpid() else None
        if not _is_ours(pid):
            return None
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").strip()
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return None
    return f"process {pid} (child of {parent}): {command.decode(errors='replace')}"


def _is_ours(pid: int) -> bool:
    while pid > 1:
        if pid == os.getpid() or _is_marked(pid):
            return True
        pid = _state_and_parent(pid)[1]
    return False


def _is_marked(pid: int) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except PermissionError:  # another user's
        return False
    mark = next(
        (entry for entry in environment.split(b"\0") if entry.startswith(f"{MARK}=".encode())), b""
    )
    return f"/{os.getpid()}/".encode() in mark


def _state_and_parent(pid: int) -> tuple[str, int]:
    # The name, in parentheses, may hold anything: what follows the last one is safe to split.
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return fields[0], int(fields[1])
