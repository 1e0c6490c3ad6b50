"""Breaks what serves a run, at random: hosts, containers, agents, connections; and brings hosts back after a while."""

import contextlib
import logging
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from atex_orchestrator.events import (
    Event,
    MachineReady,
    MachineReleased,
    MachineReserved,
    TestFinished,
)

from tests.machines import LightHost

AT_ONCE = 8  # faults
AWAY = 4.0  # seconds that a host or its link is away, at most
MOMENT = 0.5  # seconds
LIMIT = 300.0  # seconds for a podman command, on a box that has much else to do

_log = logging.getLogger(__name__)


class Chaos:
    """Breaks machines of a run whose events it listens to. On leaving all hosts are back.

    One thread calls `cause()`, the run calls `listen()`; what is caused goes on in threads, one at a time on a host.
    `_lock` guards `passed`, `_well`, `_machines` and `_sessions`.
    """

    def __init__(self, hosts: Sequence[LightHost], chance: random.Random) -> None:
        self.passed = 0
        """How many tests have passed so far."""
        self._chance = chance
        self._lock = threading.Lock()
        self._well = list(hosts)  # nothing happens to them just now
        self._machines: dict[int, str] = {}  # by worker
        self._sessions: dict[int, str] = {}  # by worker
        self._threads = ThreadPoolExecutor(AT_ONCE, "chaos")
        self._caused: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.shutdown()
        for caused in self._caused:
            caused.result()

    def listen(self, event: Event) -> None:
        """Learn of machines that come and go."""
        with self._lock:
            match event:
                case MachineReserved(worker=worker, machine=machine):
                    self._machines[worker] = machine
                case MachineReady(worker=worker, session=session):
                    self._sessions[worker] = session
                case MachineReleased(worker=worker):
                    self._machines.pop(worker, None)
                    self._sessions.pop(worker, None)
                case TestFinished(status="pass"):
                    self.passed += 1

    def cause(self) -> None:
        """Break something; what it takes to come back is done meanwhile."""
        self._chance.choice(
            [*[self._break_host] * 5, *[self._kill_process] * 2, self._break_container]
        )()

    def _break_host(self) -> None:
        fault = self._chance.choice((_switch_off, _cut, _kill_logins, _reset))
        seconds = self._chance.uniform(0.0, AWAY)
        with self._lock:
            if not self._well:
                return
            host = self._well.pop(self._chance.randrange(len(self._well)))

        def on_host() -> None:
            fault(host, seconds)
            with self._lock:
                self._well.append(host)

        self._start(f"{fault.__name__} {host.name}, {seconds:.1f} s", on_host)

    def _kill_process(self) -> None:
        """Of those that serve a session: the agent, its bridge; for a container also the `podman exec` on this box."""
        with self._lock:
            sessions = list(self._sessions.values())
        if not sessions:
            return
        session, number = self._chance.choice(sessions), self._chance.randrange(100)
        self._start(f"kill a process of {session}", lambda: _kill_one(session, number))

    def _break_container(self) -> None:
        command = self._chance.choice(("kill", "rm --force --time=0"))
        with self._lock:
            containers = [name for name in self._machines.values() if name.startswith("podman-")]
        if not containers:
            return
        words = ["podman", *command.split(), self._chance.choice(containers)]

        def on_container() -> None:
            # It may have gone by itself.
            subprocess.run(words, check=False, capture_output=True, timeout=LIMIT)

        self._start(" ".join(words), on_container)

    def _start(self, words: str, fault: Callable[[], None]) -> None:
        _log.info("after %d tests: %s", self.passed, words)
        self._caused.append(self._threads.submit(fault))


def _switch_off(host: LightHost, seconds: float) -> None:
    host.crash()
    time.sleep(seconds)
    host.boot()


def _cut(host: LightHost, seconds: float) -> None:
    host.cut()
    time.sleep(seconds)
    host.heal()


def _kill_logins(host: LightHost, seconds: float) -> None:
    host.kill_sessions()


def _reset(host: LightHost, seconds: float) -> None:
    host.link.reset()


def _kill_one(session: str, number: int) -> None:
    """Kill one of the processes that serve it; what is there for a moment only may be about to become a test."""
    seen = _serving(session)
    time.sleep(MOMENT)
    if found := sorted(seen & _serving(session)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(found[number % len(found)], signal.SIGKILL)


def _serving(session: str) -> set[int]:
    """Return the processes, on this box and all machines, that have its name; but for the script of a test."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            words = (process / "cmdline").read_bytes().split(b"\0")
            if words[0] != b"/bin/bash" and session.encode() in b" ".join(words):
                found.add(int(process.name))
    return found
