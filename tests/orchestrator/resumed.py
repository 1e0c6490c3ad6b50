"""Runs by a script that are killed, to be resumed. Their machines are slots of this one."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atex_fmf import Suite, Test
from atex_orchestrator import Orchestrator
from atex_orchestrator.events import Event
from atex_provision import LocalProvisioner

from tests.waits import PATIENCE


def pool_of(
    folder: Path,
    *scripts: str,
    machines: int = 1,
    anywhere: bool = False,
    backend: type[LocalProvisioner] = LocalProvisioner,
    **settings: Any,
) -> Orchestrator:
    """Return an orchestrator for tests /t1, /t2 and so on, with results in `folder`.

    `anywhere`: they are bound to no platform.
    """
    tests = tuple(Test(name=f"/t{n}", test=text) for n, text in enumerate(scripts, start=1))
    tree = folder.parent / "tree"
    tree.mkdir(exist_ok=True)
    orchestrator = Orchestrator(folder, order="plan", **settings)
    suite = Suite(root=str(tree), tests=tests)
    orchestrator.add_platform("p", Suite(root=suite.root, tests=()) if anywhere else suite)
    if anywhere:
        orchestrator.add_tests(suite)
    orchestrator.add_provisioner(backend, platform="p", max_workers=machines)
    return orchestrator


def kill_run(
    folder: Path,
    *scripts: str,
    machines: int = 1,
    anywhere: bool = False,
    at: str,
    serial: int,
    abort: int = 0,
) -> None:
    """Begin a run, and kill its process as soon as it tells such an event (the name of its class) of this test.

    `abort`: the serial of a test that is aborted when it starts.
    """
    words = [folder, machines, int(anywhere), at, serial, abort, *scripts]
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            "from tests.orchestrator.resumed import run_and_die; run_and_die()",
            *map(str, words),
        ],
        cwd=Path(__file__).parents[2],
        timeout=PATIENCE,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL


def run_and_die(arguments: Sequence[str] = sys.argv[1:]) -> None:
    """What that process does."""
    folder, machines, anywhere, at, serial, abort, *scripts = arguments
    orchestrator = pool_of(
        Path(folder), *scripts, machines=int(machines), anywhere=bool(int(anywhere))
    )

    def listen(event: Event) -> None:
        kind, number = type(event).__name__, getattr(event, "serial", 0)
        if kind == "TestStarted" and number == int(abort):
            orchestrator.abort_test("p", number, "nobody wants it")
        if kind == at and number == int(serial):
            os.kill(os.getpid(), signal.SIGKILL)

    orchestrator.subscribe(listen)
    orchestrator.run()
