"""Those who listen to a run: each gets every event, in order, and the run waits for no reader."""

import gc
from pathlib import Path

import pytest
from atex_fmf import Suite, Test
from atex_orchestrator import Orchestrator, SetupError
from atex_orchestrator.events import Event, RunEnded, RunStarted, TestStarted
from atex_orchestrator.listeners import Listeners
from atex_orchestrator.results import read_events
from atex_provision import LocalProvisioner

from tests.waits import Background, still_waiting

STARTED = RunStarted(tests=1)
ENDED = RunEnded()


def orchestrator_of(tmp_path: Path, *scripts: str) -> Orchestrator:
    (tmp_path / "tree").mkdir()
    tests = tuple(Test(name=f"/t{n}", test=text) for n, text in enumerate(scripts, start=1))
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.add_platform("p", Suite(root=str(tmp_path / "tree"), tests=tests))
    orchestrator.add_provisioner(LocalProvisioner, platform="p")
    return orchestrator


def test_several_listeners_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    told: list[tuple[str, Event]] = []
    orchestrator = orchestrator_of(tmp_path, "true")
    orchestrator.subscribe(lambda event: told.append(("first", event)))
    orchestrator.subscribe(lambda event: told.append(("second", event)))
    orchestrator.run()
    events = list(read_events(tmp_path / "run"))
    assert told == [(who, event) for event in events for who in ("first", "second")]


def test_a_loop_in_another_thread_sees_the_whole_run(tmp_path: Path) -> None:
    orchestrator = orchestrator_of(tmp_path, "true", "false")
    stream = orchestrator.events()
    run = Background(orchestrator.run)
    events = list(stream)
    assert run.result().counts == {"pass": 1, "fail": 1}
    assert events == list(read_events(tmp_path / "run"))
    assert isinstance(events[-1], RunEnded)


def test_a_loop_may_stop_the_run(tmp_path: Path) -> None:
    orchestrator = orchestrator_of(tmp_path, "sleep 60")
    stream = orchestrator.events()
    run = Background(orchestrator.run)
    for event in stream:
        if isinstance(event, TestStarted):
            orchestrator.abort("seen enough")
    assert run.result().stopped == "seen enough"


def test_a_loop_ends_when_the_run_can_not_begin(tmp_path: Path) -> None:
    orchestrator = orchestrator_of(tmp_path, "true")
    orchestrator.add_platform("q", Suite(root=str(tmp_path / "tree"), tests=()))
    stream = orchestrator.events()
    with pytest.raises(SetupError):
        orchestrator.run()
    assert list(stream) == []


def test_what_a_listener_raises_is_raised_and_the_others_hear_all(tmp_path: Path) -> None:
    def broken(event: Event) -> None:
        if isinstance(event, TestStarted):
            raise ValueError("not with me")

    told: list[Event] = []
    orchestrator = orchestrator_of(tmp_path, "sleep 60")
    orchestrator.subscribe(broken)
    orchestrator.subscribe(told.append)
    with pytest.raises(ValueError, match="not with me"):
        orchestrator.run()
    assert told == list(read_events(tmp_path / "run"))


def test_a_reader_begins_where_it_came() -> None:
    listeners = Listeners()
    early = listeners.events()
    listeners.tell(STARTED)
    late = listeners.events()
    listeners.tell(ENDED)
    listeners.close()
    assert (list(early), list(late)) == ([STARTED, ENDED], [ENDED])
    assert list(early) == list(listeners.events()) == []


def test_a_reader_waits_for_the_end() -> None:
    listeners = Listeners()
    stream = listeners.events()
    reader = Background(lambda: list(stream))
    listeners.tell(STARTED)
    with still_waiting(reader):
        listeners.close()
        assert reader.result() == [STARTED]


def test_a_reader_that_was_let_go_of_keeps_nothing() -> None:
    listeners = Listeners()
    stream = listeners.events()
    listeners.tell(STARTED)
    del stream
    gc.collect()
    assert not listeners._queues
