"""One worker, as the owner of a run orders it about."""

import threading
from pathlib import Path
from queue import SimpleQueue

from atex_executor import FolderSink, Pack, Times
from atex_fmf import Suite
from atex_orchestrator.added_tests import AddedTests
from atex_orchestrator.events import Event, MachineReleased
from atex_orchestrator.heritage import Heritage
from atex_orchestrator.policy import Policy
from atex_orchestrator.register import Register
from atex_orchestrator.results import RunFolder, RunInfo
from atex_orchestrator.scheduling import Rules
from atex_orchestrator.settings import Settings, Shared
from atex_orchestrator.tenure import Tenure
from atex_orchestrator.worker import Worker
from atex_provision import Platform

from tests.orchestrator.provisioners import Endless
from tests.waits import PATIENCE


def test_a_machine_that_is_not_needed_while_it_is_taken_over_is_let_go(tmp_path: Path) -> None:
    """It is not waited for, and has not failed."""
    events: SimpleQueue[Event] = SimpleQueue()
    waiting = threading.Event()
    provisioner = Endless(waiting)
    suite = Suite(root=str(tmp_path), tests=())
    heritage = Heritage(
        worker=1,
        pool=0,
        provisioner=provisioner,
        machine="m",
        session="0" * 32,
        marks={},
        left=None,
    )
    info = RunInfo(started="2026-11-20T15:04:05.123Z", platforms=[])
    with RunFolder(tmp_path / "run", info) as folder, FolderSink(folder.path) as sink:
        shared = Shared(
            settings=Settings(
                environment={}, secrets={}, grace=1.0, times=Times(), take_over=False, become=False
            ),
            policy=Policy(Rules()),
            sink=sink,
            register=Register(),
            added=AddedTests(folder, {}),
            final=lambda platform, serial, attempt: None,
            write=folder.append,
            emit=events.put,
        )
        tenure = Tenure(
            1,
            platform=Platform("p"),
            suite=suite,
            pack=Pack(suite),
            factory=lambda: provisioner,
            shared=shared,
            heritage=heritage,
        )
        worker = Worker(tenure)
        worker.start()
        assert waiting.wait(PATIENCE)
        worker.release()
        last = events.get(timeout=PATIENCE)
        worker.join(PATIENCE)
    assert isinstance(last, MachineReleased)
