"""Ctrl-C, SIGTERM, and machines that die: every test has its record, and nothing of the run is left running."""

import random
import re
import signal
from pathlib import Path

import pytest

from tests.cli.command import EACH_SIGNAL, Atex, Ended, await_line, end, running, wait_for
from tests.machines import LightHost
from tests.machines.keeper import descendants

SLEEP = f"sleep 77.{random.randrange(10**9)}"  # not that of another suite on this box
STUBBORN = "trap '' INT; touch {{started}}; while :; do {sleep}; done"


def waiting_tree(atex: Atex, script: str) -> Path:
    """Write a test that waits, and two that come after it; return the file that the first one makes."""
    started = atex.folder / "started"
    atex.write("a.fmf", f"order: 1\ntest: |\n  {script.format(started=started)}\n")
    atex.write("b.fmf", "order: 2\ntest: 'true'\n")
    atex.write("c.fmf", "order: 3\ntest: 'true'\n")
    return started


def interrupt(atex: Atex, started: Path, number: signal.Signals = signal.SIGINT) -> Ended:
    process = atex.start_run("--on", "local")
    wait_for(started.exists, "the test to start")
    process.send_signal(number)
    return end(process)


@EACH_SIGNAL
def test_a_signal_stops_the_run_and_keeps_the_records(
    atex: Atex, number: signal.Signals, code: int, word: str
) -> None:
    cleaned = atex.folder / "cleaned"
    started = waiting_tree(
        atex, f"trap 'touch {cleaned}; exit 9' INT; touch {{started}}; while :; do sleep 0.01; done"
    )
    ended = interrupt(atex, started, number)
    assert ended.code == code, ended
    assert cleaned.exists()
    finals = atex.finals()
    assert set(finals) == {"/a", "/b", "/c"}
    assert {record["status"] for record in finals.values()} == {"infra"}
    assert all(word in record["note"] for record in finals.values())
    assert "3 tests: 3 infra" in ended.lines
    assert f"Results: {atex.results}" in ended.lines
    assert word in ended.err
    assert "Traceback" not in ended.err


def test_nohup_outlives_the_terminal(atex: Atex) -> None:
    go = atex.folder / "go"
    started = waiting_tree(atex, f"touch {{started}}; until [ -e {go} ]; do sleep 0.01; done")
    atex.prefix = ["nohup"]
    process = atex.start_run("--on", "local")
    wait_for(started.exists, "the test to start")
    process.send_signal(signal.SIGHUP)
    go.touch()
    ended = end(process)
    assert ended.code == 0, ended


def test_a_test_that_ignores_sigint_is_killed(atex: Atex) -> None:
    started = waiting_tree(atex, STUBBORN.format(sleep=SLEEP))
    ended = interrupt(atex, started)
    assert ended.code == 130, ended
    assert not running(SLEEP)


def test_a_second_ctrl_c_skips_the_waiting_but_not_the_records(atex: Atex) -> None:
    atex.write(
        "plan.fmf",
        "discover: {how: fmf}\nexecute: {how: tmt}\nfinish: {how: shell, script: sleep 50}\n",
    )
    started = waiting_tree(atex, STUBBORN.format(sleep=SLEEP))
    process = atex.start_run("--on", "local")
    wait_for(started.exists, "the test to start")
    process.send_signal(signal.SIGINT)
    await_line(process, "Ctrl-C skips the waiting")
    process.send_signal(signal.SIGINT)
    ended = end(process)
    assert ended.code == 130, ended
    assert len(atex.finals()) == 3
    assert not running(SLEEP)


def test_no_process_is_left_on_a_machine(atex: Atex, light_host: LightHost) -> None:
    started = light_host.folder / "root" / "started"
    atex.write("a.fmf", "test: trap '' INT; touch /root/started; sleep 60 & sleep 60 & wait\n")
    process = atex.start_run(*pool(light_host))
    wait_for(started.exists, "the test to start")
    process.send_signal(signal.SIGINT)
    ended = end(process)
    assert ended.code == 130, ended
    assert "may be left" not in ended.err
    wait_for(lambda: not list(descendants(light_host.init)), "the processes of the run to end")


def test_a_machine_that_dies_in_the_middle(atex: Atex, light_host: LightHost) -> None:
    started = light_host.folder / "root" / "started"
    atex.write("a.fmf", "order: 1\ntest: touch /root/started; sleep 60\n")
    atex.write("b.fmf", "order: 2\ntest: 'true'\n")
    process = atex.start_run(*pool(light_host), "--infra-retries", "0")
    wait_for(started.exists, "the test to start")
    light_host.crash()
    light_host.boot()
    ended = end(process)
    assert ended.code == 75, ended
    finals = atex.finals()
    assert finals["/a"]["status"] == "infra"
    assert finals["/a"]["note"]
    assert set(finals) == {"/a", "/b"}
    assert f"infra root@{light_host.address}: {finals['/a']['note']}" in ended.out


@pytest.mark.leaves_leases  # of the agent there
def test_a_machine_that_can_not_be_reached_is_named(atex: Atex, light_host: LightHost) -> None:
    started = light_host.folder / "root" / "started"
    atex.write("a.fmf", "test: touch /root/started; sleep 60\n")
    process = atex.start_run(*pool(light_host))
    wait_for(started.exists, "the test to start")
    light_host.cut()
    process.send_signal(signal.SIGINT)
    await_line(process, "Ctrl-C skips the waiting")
    process.send_signal(signal.SIGINT)
    ended = end(process)
    assert ended.code == 130, ended
    record = atex.finals()["/a"]
    assert record["status"] == "infra"
    assert record["note"].startswith("interrupted by Ctrl-C; ")
    # Who gives up first says so: the executor, or whoever waits for it.
    assert re.search(r"may (still be running there|go on until)", record["note"])
    *_, left, held = ended.err.splitlines()
    assert f"may be left on root@{light_host.address}" in left
    assert "`atex gc ssh-" in held


def pool(host: LightHost) -> list[object]:
    return ["--on", f"ssh:root@{host.address}", "--identity", host.identity]
