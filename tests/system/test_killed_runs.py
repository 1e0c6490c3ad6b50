"""`kill -9` of `atex run`, and `atex gc`: nothing of the run is left anywhere, and nobody else's is touched."""

import random
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from tests.cli.command import Ended, end
from tests.system.fleet import PATIENCE, Fleet
from tests.waits import eventually

TESTS = 8
EVENTS = 90  # of a run of these tests on two platforms of four machines, about
LATER = 0.5  # seconds after an event, at most
WHOLE_GC = 3.0  # seconds in which `atex gc` has most of its work done


def kill_and_collect(fleet: Fleet, rounds: int) -> None:
    """Kill runs, each at a random moment, and give back at once what they had; then come to an end with one."""
    fleet.write_tests(TESTS)
    fleet.let_go()
    pools = fleet.pools()
    for _ in range(rounds):
        seed = random.randrange(2**32)
        chance = random.Random(seed)
        moment = f"seed {seed}: {kill_a_run(fleet, pools, chance)}"
        ended = collect(fleet, chance)
        assert {gc.code for gc in ended} == {0}, f"{moment}; {ended}"
        try:
            fleet.check_nothing_is_left()
        except AssertionError as error:
            raise AssertionError(f"{moment}; {error}; {ended}") from None
    fleet.atex.results = fleet.atex.folder / "afterwards"
    last = fleet.atex.run(*pools)
    assert last.code == 0, last  # no lock is in the way
    assert len(fleet.verdicts()) == 2 * TESTS


def kill_a_run(fleet: Fleet, pools: list[object], chance: random.Random) -> str:
    """Return in words when that was."""
    number, pause = chance.randrange(EVENTS), chance.uniform(0, LATER)
    fleet.atex.results = fleet.atex.folder / f"run-{chance.random()}"
    process = fleet.atex.start_run(*pools)
    eventually(lambda: len(fleet.events()) >= number or process.poll() is not None, PATIENCE)
    time.sleep(pause)
    kill(process)
    return f"killed {pause:.2f} s after event {number}, the last was {fleet.events()[-1:]}"


def collect(fleet: Fleet, chance: random.Random) -> list[Ended]:
    """Call `atex gc` once; or kill it, too, and then call it twice at the same time."""
    if chance.random() < 0.5:
        return [fleet.atex("gc")]
    process = fleet.atex.start("gc")
    time.sleep(chance.uniform(0, WHOLE_GC))
    kill(process)
    return [end(gc) for gc in [fleet.atex.start("gc") for _ in range(2)]]


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def has_machines(fleet: Fleet, run: Path, count: int) -> bool:
    return len(fleet.machines(run)) == count


def test_nothing_is_left_of_a_killed_run(fleet: Fleet) -> None:
    kill_and_collect(fleet, 3)


@pytest.mark.nightly
def test_nothing_is_left_of_many_killed_runs(fleet: Fleet) -> None:
    kill_and_collect(fleet, 20)


def test_another_run_is_not_touched(fleet: Fleet) -> None:
    """One of two runs, side by side, is killed and its machines given back."""
    fleet.write_tests(TESTS)
    mine, theirs = fleet.hosts[:2], fleet.hosts[2:]
    results = fleet.atex.folder / "other"
    other = fleet.atex.start(
        "run", fleet.atex.tree, "--output", results, *fleet.pools(containers=2, hosts=theirs)
    )
    process = fleet.atex.start_run(*fleet.pools(containers=2, hosts=mine))
    for run in (fleet.atex.results, results):
        eventually(partial(has_machines, fleet, run, 4), PATIENCE)
    kill(process)
    collected = fleet.atex("gc")
    assert collected.code == 0, collected
    fleet.let_go()
    ended = end(other)
    assert ended.code == 0, ended
    fleet.atex.results = results
    assert set(fleet.verdicts().values()) == {"pass"}
    assert len(fleet.verdicts()) == 2 * TESTS
    fleet.check_nothing_is_left()
