"""`atex run`: which test starts when, which are not started at all, and on which machines they leave something."""

import json
from typing import TypeVar

import pytest
from atex_orchestrator import events
from atex_orchestrator.results import read_events

from tests.cli.command import Atex, Ended, end, wait_for

E = TypeVar("E", bound=events.Event)


def run(atex: Atex, number: int, *arguments: object) -> tuple[Ended, list[str]]:
    """Run the tests here, for the so-manieth time; return how that ended, and the order in which they started."""
    atex.results = atex.folder / f"run-{number}"
    ended = atex.run("--on", "local", *arguments)
    return ended, [event.test for event in happened(atex, events.TestStarted)]


def happened(atex: Atex, kind: type[E]) -> list[E]:
    return [event for event in read_events(atex.results) if isinstance(event, kind)]


def test_the_longest_start_first(atex: Atex) -> None:
    """By what they may take, and in the next run by what they took; a priority is above both."""
    atex.write("a.fmf", "test: 'true'\nduration: 2m\n")
    atex.write("b.fmf", "test: sleep 2\nduration: 1m\n")
    atex.write("c.fmf", "test: 'true'\nduration: 1s\nextra-priority: 10\n")
    assert run(atex, 1)[1] == ["/c", "/a", "/b"]
    assert run(atex, 2)[1] == ["/c", "/b", "/a"]


def test_a_random_order_can_be_repeated(atex: Atex) -> None:
    for number in range(10):
        atex.write(f"t{number}.fmf", "test: 'true'\n")
    ended, order = run(atex, 1, "--order", "random")
    [said] = [line for line in ended.lines if line.startswith("Order: ")]
    option, seed = said.split()[-2:]
    assert json.loads((atex.results / "run.json").read_text())["seed"] == int(seed)
    assert run(atex, 2, "--order", "random", option, seed)[1] == order


def test_a_seed_of_an_order_that_is_not_random(atex: Atex) -> None:
    atex.write("a.fmf", "test: 'true'\n")
    ended = atex.run("--on", "local", "--seed", "1")
    assert ended.code == 64, ended
    assert "--order random" in ended.err


def test_after_failures_the_rest_is_skipped(atex: Atex) -> None:
    for name, script in {"a": "true", "b": "false", "c": "false", "d": "true", "e": "true"}.items():
        atex.write(f"{name}.fmf", f"test: '{script}'\n")
    ended, order = run(atex, 1, "--order", "plan", "--fail-fast", "2")
    assert ended.code == 1, ended
    assert order == ["/a", "/b", "/c"]
    finals = atex.finals()
    assert {finals[name]["status"] for name in ("/d", "/e")} == {"skip"}
    assert "skip  2 tests of local not started" in ended.lines
    assert f"skip not started: {finals['/d']['note']}" in ended.lines
    assert "5 tests: 2 fail, 1 pass, 2 skip" in ended.lines


@pytest.mark.parametrize(("destructive", "machines"), [("exit", 3), ("never", 1)])
def test_which_tests_spoil_their_machine(atex: Atex, destructive: str, machines: int) -> None:
    atex.write("a.fmf", "test: 'true'\ntag: destructive\n")
    atex.write("b.fmf", "test: 'false'\n")
    atex.write("c.fmf", "test: 'true'\n")
    ended, order = run(atex, 1, "--order", "plan", "--destructive", destructive)
    assert (ended.code, order) == (1, ["/a", "/b", "/c"]), ended
    assert len(happened(atex, events.MachineReserved)) == machines
    assert len(happened(atex, events.MachineReleased)) == machines


def test_a_spare_steps_in(atex: Atex) -> None:
    """It is ready before the machine is spoiled whose place it takes."""
    atex.write(
        "a.fmf", f"test: until [ -e {atex.folder}/go ]; do sleep 0.05; done\ntag: destructive\n"
    )
    for name in ("b", "c"):
        atex.write(f"{name}.fmf", "test: 'true'\n")
    process = atex.start_run("--on", "local", "--order", "plan", "--spares", "1")
    wait_for(lambda: len(happened(atex, events.MachineReady)) == 2, "the spare")
    (atex.folder / "go").touch()
    ended = end(process)
    assert ended.code == 0, ended
    first, second, third = happened(atex, events.TestStarted)
    assert (first.test, second.test) == ("/a", "/b")
    assert first.machine != second.machine == third.machine
    assert len(happened(atex, events.MachineReserved)) == 2
