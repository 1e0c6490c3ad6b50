"""What machines that wait for their tests cost the host: three threads each, and next to no wake-up.

Times are not looked at, only what the kernel counts: on a loaded box it is the same.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from atex_fmf import Suite, Test
from atex_orchestrator import Orchestrator
from atex_orchestrator.events import TestStarted
from atex_provision import HostPool

from tests.machines import Sshd
from tests.machines.login import host_of
from tests.waits import Background, eventually

MACHINES = 4
OF_THE_RUN = 3  # threads: its owner's, and two that see to what is written being safe
WINDOW = 2.0  # seconds; who polls as often as once a second wakes up twice
PATIENCE = 60.0  # seconds


Threads = Callable[[], set[threading.Thread]]


@pytest.fixture
def threads(sshd: Sshd, own_home: Path, tmp_path: Path) -> Iterator[Threads]:
    """`threads()`: those of a run whose machines all wait for a long test."""
    before = set(threading.enumerate())
    with _waiting_run(sshd, tmp_path):
        yield lambda: set(threading.enumerate()) - before


def test_a_machine_has_three_threads(threads: Threads) -> None:
    """Those that reserved it may still be on their way out."""
    most = 3 * MACHINES + OF_THE_RUN
    with suppress(AssertionError):
        eventually(lambda: len(threads()) <= most)
    names = sorted(thread.name for thread in threads())
    assert len(names) <= most, names


def test_nobody_polls(threads: Threads) -> None:
    """At first something may still be going on; later only signs of life, of which there are four a minute."""
    busy: dict[str, int] = {}
    for _ in range(10):
        before = {thread: _wakes(thread) for thread in threads()}
        time.sleep(WINDOW)
        woken = {
            thread.name: _wakes(thread) - before[thread] for thread in threads() & before.keys()
        }
        busy = {name: times for name, times in woken.items() if times >= WINDOW}
        if not busy:
            return
    pytest.fail(f"these wake up again and again, so often in {WINDOW} s: {busy}")


@contextmanager
def _waiting_run(sshd: Sshd, folder: Path) -> Iterator[None]:
    """A run on machines over ssh, all of which are running a test that does not end."""
    (folder / "tree").mkdir()
    orchestrator = Orchestrator(folder / "run")
    tests = tuple(Test(name=f"/t{n}", test="sleep 1000") for n in range(MACHINES))
    orchestrator.add_platform("p", Suite(root=str(folder / "tree"), tests=tests))
    host = host_of(sshd, slots=tuple(f"{sshd.port}-{n}" for n in range(MACHINES)))
    orchestrator.add_provisioner(HostPool([host]).provisioner, max_workers=MACHINES, platform="p")
    started = threading.Semaphore(0)
    orchestrator.subscribe(
        lambda event: started.release() if isinstance(event, TestStarted) else None
    )
    run = Background(orchestrator.run)
    try:
        for _ in range(MACHINES):
            assert started.acquire(timeout=PATIENCE), "not all machines have come"
        yield
    finally:
        orchestrator.abort("that was long enough", at_once=True)
        run.result(PATIENCE)


def _wakes(thread: threading.Thread) -> int:
    """How often it gave up the processor by itself, to wait for something (proc(5), status); 0 where it has ended."""
    try:
        status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])
