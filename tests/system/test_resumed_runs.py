"""`kill -9` of `atex run`, and `--resume`: every test ends once, and nothing is lost, told twice, or left behind."""

import random
import time
from collections import Counter

import pytest
from atex_orchestrator.events import TestAdded
from atex_orchestrator.results import read_records

from tests.audit import audit
from tests.cli.command import Ended, end
from tests.system.fleet import PATIENCE, Fleet
from tests.system.test_killed_runs import kill
from tests.waits import eventually

RESULTS = 8  # of a test
EVENTS = 60  # of a run, about
LATER = 0.5  # seconds after an event, at most
WHOLE_RESUME = 4.0  # seconds in which a resumed run has most of its work done

# The first of them asks for one more run of the second.
TESTS = f"""
/plan:
    discover: {{how: fmf}}
    execute: {{how: tmt}}
    prepare: {{how: shell, script: "sleep 0.2"}}
    finish: {{how: shell, script: "sleep 0.2"}}
/tests:
    test: |
        for n in $(seq {RESULTS}); do
            echo "result {{\\"name\\": \\"r$n\\", \\"status\\": \\"pass\\"}}" >&$ATEX_TEST_CONTROL
            echo $n
            sleep 0.1
            if [ "$n${{ADDS:-}}" = 4yes ]; then
                echo 'addtest /tests/2 ADDS=no' >&$ATEX_TEST_CONTROL
            fi
        done
    /1: {{environment: {{ADDS: "yes"}}}}
    /2: {{}}
    /3: {{}}
    /4: {{}}
"""


def kill_and_resume(fleet: Fleet, rounds: int) -> None:
    """Kill runs, each at a random moment, some a second time while they are resumed; let them come to their end."""
    fleet.atex.write("main.fmf", TESTS)
    pools = [*fleet.pools(containers=2, hosts=fleet.hosts[:2]), "--on", "2xlocal"]
    for _ in range(rounds):
        seed = random.randrange(2**32)
        chance = random.Random(seed)
        fleet.atex.results = fleet.atex.folder / f"run-{seed}"
        moment = f"seed {seed}: {kill_at_random(fleet, pools, chance)}"
        if not fleet.events():
            continue  # it had not begun
        ended = resume(fleet, chance)
        assert ended is None or ended.code == 0, f"{moment}; {ended}"
        assert audit(fleet.atex.results) == [], moment
        check_verdicts(fleet, moment)
        fleet.check_nothing_is_left()


def kill_at_random(fleet: Fleet, pools: list[object], chance: random.Random) -> str:
    """Return in words when that was."""
    number, pause = chance.randrange(EVENTS), chance.uniform(0, LATER)
    process = fleet.atex.start_run(*pools)
    eventually(lambda: len(fleet.events()) >= number or process.poll() is not None, PATIENCE)
    time.sleep(pause)
    kill(process)
    return f"killed {pause:.2f} s after event {number}, the last was {fleet.events()[-1:]}"


def resume(fleet: Fleet, chance: random.Random) -> Ended | None:
    """Resume the run, and perhaps kill that, too, before; return None where it had come to its end by then."""
    if chance.random() < 0.4:
        process = fleet.atex.start("run", "--resume", fleet.atex.results)
        time.sleep(chance.uniform(0, WHOLE_RESUME))
        kill(process)
    process = fleet.atex.start("run", "--resume", fleet.atex.results)
    eventually(lambda: process.poll() is not None, PATIENCE)
    ended = end(process)
    return None if "there is nothing to resume" in ended.err else ended


def check_verdicts(fleet: Fleet, moment: str) -> None:
    """Each test passed in its last attempt, and sent what it sends, each thing once."""
    records = list(read_records(fleet.atex.results))
    finals = [record for record in records if record.get("final")]
    last = {(record["platform"], record["serial"]): record["status"] for record in finals}
    assert set(last.values()) == {"pass"}, moment
    assert len(last) >= 3 * 4, moment
    for final in finals:
        key = ("platform", "serial", "attempt")
        attempt = [final[part] for part in key]
        sent = [
            record["name"]
            for record in records
            if "n" in record and [record[part] for part in key] == attempt
        ]
        if final["status"] == "pass":
            assert sent == [f"r{n}" for n in range(1, RESULTS + 1)], (moment, final)
            output = (fleet.atex.results / "files" / final["files"][0]).read_text()
            assert output == "".join(f"{n}\n" for n in range(1, RESULTS + 1)), (moment, final)
    added = [event for event in fleet.events() if isinstance(event, TestAdded)]
    by = Counter((event.platform, event.by_serial, event.by_attempt) for event in added)
    assert set(by.values()) <= {1}, (moment, added)
    passed = {
        (f["platform"], 1, f["attempt"])
        for f in finals
        if f["serial"] == 1 and f["status"] == "pass"
    }
    assert passed <= set(by), (moment, added)
    assert {(event.platform, event.serial) for event in added} <= set(last), moment


def test_killed_runs_are_resumed(fleet: Fleet) -> None:
    kill_and_resume(fleet, 3)


@pytest.mark.nightly
def test_many_killed_runs_are_resumed(fleet: Fleet) -> None:
    kill_and_resume(fleet, 50)
