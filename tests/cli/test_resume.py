"""`atex run --resume`: what it needs to be told, what it refuses, and that it goes on where a run was killed."""

import contextlib
import json
import os
import pty
import signal
from collections.abc import Callable

import pytest
from atex_orchestrator.events import MachineKept, TestStarted
from atex_orchestrator.results import read_events, read_finals, read_run

from tests.audit import audit
from tests.cli.command import ATEX, Atex, Ended, end, wait_for
from tests.machines import LightHost

TREE = """
/plan:
    discover: {how: fmf}
    execute: {how: tmt}
/tests:
    test: |
        echo $PPID >$GO/agent
        echo begun
        until [ -e $GO/go ]; do sleep 0.05; done
        echo ${TOKEN:-without a token}
    /a: {order: 1}
    /b: {order: 2}
"""


@pytest.fixture
def waiting(atex: Atex) -> Atex:
    """Its tests wait for let_go()."""
    atex.write("main.fmf", TREE)
    return atex


def kill_in_a_test(atex: Atex, *arguments: object) -> None:
    """Kill a run while its first test runs."""
    process = atex.start_run("-e", f"GO={atex.folder}", *arguments)
    output = atex.results / "files/local/tests/a/@1.1/output.txt"
    wait_for(lambda: output.exists() and output.read_text() == "begun\n", "the first test")
    process.kill()
    process.communicate()


def let_go(atex: Atex) -> None:
    (atex.folder / "go").touch()


def resume(atex: Atex, *arguments: object) -> Ended:
    return atex("run", "--resume", atex.results, *arguments)


def check(atex: Atex, ended: Ended) -> None:
    assert ended.code == 0, ended
    assert audit(atex.results) == []
    assert {record["status"] for record in atex.finals().values()} == {"pass"}
    assert not list((atex.state / "leases").glob("*.json"))


def test_a_killed_run_goes_on_in_the_middle_of_a_test(waiting: Atex) -> None:
    """Everything is as it was asked then, wherever one is."""
    kill_in_a_test(waiting, "--on", "local")
    let_go(waiting)
    elsewhere = waiting.folder / "elsewhere"
    elsewhere.mkdir()
    waiting.prefix = ["env", "-C", str(elsewhere)]
    check(waiting, resume(waiting))
    assert [
        event.attempt for event in read_events(waiting.results) if isinstance(event, TestStarted)
    ] == [1, 1]
    output = waiting.results / "files/local/tests/a/@1.1/output.txt"
    assert output.read_text() == "begun\nwithout a token\n"


def test_a_run_goes_on_without_its_machines(waiting: Atex) -> None:
    """`atex gc` says how, and costs only the machines."""
    kill_in_a_test(waiting, "--on", "local")
    let_go(waiting)
    collected = waiting("gc")
    assert f"atex run --resume {waiting.results}" in collected.out
    ended = resume(waiting)
    assert ended.code == 0, ended
    assert audit(waiting.results) == []
    attempts = {
        (event.test, event.attempt)
        for event in read_events(waiting.results)
        if isinstance(event, TestStarted)
    }
    assert attempts == {("/tests/a", 1), ("/tests/a", 2), ("/tests/b", 1)}


def test_an_agent_was_killed_meanwhile(waiting: Atex) -> None:
    kill_in_a_test(waiting, "--on", "local")
    os.kill(int((waiting.folder / "agent").read_text()), signal.SIGKILL)
    let_go(waiting)
    ended = resume(waiting)
    assert ended.code == 0, ended
    assert audit(waiting.results) == []
    statuses = [(r.test, r.attempt, r.status) for r in read_finals(waiting.results)]
    assert statuses == [
        ("/tests/a", 1, "infra"),
        ("/tests/a", 2, "pass"),
        ("/tests/b", 1, "pass"),
    ]


def test_a_machine_that_somebody_else_holds(waiting: Atex) -> None:
    holder = waiting.start("reserve", "local")
    assert holder.stdout is not None
    assert holder.stdout.readline().startswith("lease:")
    (lease,) = (waiting.state / "leases").glob("*.json")
    kill_in_a_test(waiting, "--on", f"lease:{lease.stem}")
    let_go(waiting)
    ended = resume(waiting)
    assert ended.code == 0, ended
    assert audit(waiting.results) == []
    started = [e for e in read_events(waiting.results) if isinstance(e, TestStarted)]
    assert [event.attempt for event in started] == [1, 1]
    assert not json.loads(lease.read_text()).get("sessions")
    holder.send_signal(signal.SIGINT)
    end(holder)
    assert not lease.exists()


def test_a_run_that_was_stopped_goes_on(waiting: Atex) -> None:
    process = waiting.start_run("-e", f"GO={waiting.folder}", "--on", "local")
    wait_for((waiting.results / "files/local/tests/a/@1.1/output.txt").exists, "a test")
    process.send_signal(signal.SIGINT)
    assert end(process).code == 130
    let_go(waiting)
    ended = resume(waiting)
    assert ended.code == 0, ended
    assert audit(waiting.results) == []
    assert "goes on: 0 of 2 tests have a verdict" in ended.out
    assert "2 tests: 2 " in ended.out
    assert read_run(waiting.results).stopped is None
    again = resume(waiting)
    assert again.code == 64
    assert "there is nothing to resume" in again.err


def test_secrets_are_needed_again(waiting: Atex) -> None:
    waiting.environment["TOKEN"] = "s3cret"
    kill_in_a_test(waiting, "--on", "local", "--secret", "TOKEN")
    let_go(waiting)
    del waiting.environment["TOKEN"]
    refused = resume(waiting)
    assert refused.code == 64
    assert "TOKEN is a secret of this run and not set in the environment" in refused.err
    waiting.environment["TOKEN"] = "other"
    check(waiting, resume(waiting, "--secret", "TOKEN"))
    output = waiting.results / "files/local/tests/b/@2.1/output.txt"
    assert output.read_text() == "begun\nother\n"
    assert "s3cret" not in (waiting.results / "run.json").read_text()


def test_secrets_are_asked_for_at_a_terminal(waiting: Atex) -> None:
    waiting.environment["TOKEN"] = "s3cret"
    kill_in_a_test(waiting, "--on", "local", "--secret", "TOKEN")
    let_go(waiting)
    del waiting.environment["TOKEN"]
    child, terminal = pty.fork()
    if child == 0:
        os.execve(ATEX, [str(ATEX), "run", "--resume", str(waiting.results)], waiting.environment)
    said = b""
    try:
        while b"secret TOKEN: " not in said:
            said += os.read(terminal, 1000)
        os.write(terminal, b"typed\n")
        with contextlib.suppress(OSError):  # nobody has the other end any more
            while more := os.read(terminal, 1000):
                said += more
    finally:
        os.close(terminal)
        _, status = os.waitpid(child, 0)
    assert status == 0, said
    assert b"typed" not in said
    output = waiting.results / "files/local/tests/b/@2.1/output.txt"
    assert output.read_text() == "begun\ntyped\n"


@pytest.mark.parametrize(
    "arguments", [("--on", "local"), ("tree",), ("--grace", "1m"), ("-c", "a=b")]
)
def test_nothing_else_is_to_be_said(waiting: Atex, arguments: tuple[str, ...]) -> None:
    refused = resume(waiting, *arguments)
    assert refused.code == 64
    assert "a run is resumed as it was begun, leave this out" in refused.err


def test_what_is_no_run(waiting: Atex) -> None:
    refused = resume(waiting)
    assert refused.code == 64
    assert "is not a run folder" in refused.err


def test_a_run_that_goes_on_elsewhere(waiting: Atex) -> None:
    process = waiting.start_run("-e", f"GO={waiting.folder}", "--on", "local")
    wait_for((waiting.results / "results.jsonl").exists, "the run")
    refused = resume(waiting)
    assert refused.code == 64
    assert "a process of atex still writes" in refused.err
    let_go(waiting)
    assert end(process).code == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "/b:",
            "/c:",
            "/tests/b was number 2 of platform local, and there is /tests/c in its place",
        ),
        (
            "    /b: {order: 2}\n",
            "",
            "/tests/b was number 2 of platform local, and it is not there",
        ),
        ("    /b", "    /c: {order: 3}\n    /b", "/tests/c of platform local was not among them"),
    ],
)
def test_other_tests(waiting: Atex, old: str, new: str, words: str) -> None:
    kill_in_a_test(waiting, "--on", "local")
    waiting.write("main.fmf", TREE.replace(old, new))
    refused = resume(waiting)
    assert refused.code == 64
    assert words in refused.err
    waiting.write("main.fmf", TREE)
    let_go(waiting)
    check(waiting, resume(waiting))


def test_a_machine_that_was_kept_stays_so(
    atex: Atex, light_hosts: Callable[[int], list[LightHost]]
) -> None:
    atex.write(
        "main.fmf",
        """
/plan:
    discover: {how: fmf}
    execute: {how: tmt}
/tests:
    /slow: {test: "until [ -e /root/go ]; do sleep 0.05; done", order: 1}
    /bad: {test: "false", order: 2}
""",
    )
    hosts = light_hosts(2)
    pool = "ssh:" + ",".join(f"root@{host.address}" for host in hosts)
    process = atex.start_run(
        "--on", pool, "--order", "plan", "--hold-failed", "--identity", hosts[0].identity
    )
    wait_for(
        lambda: (
            (atex.results / "events.jsonl").exists()
            and any(isinstance(event, MachineKept) for event in read_events(atex.results))
        ),
        "the machine to be kept",
    )
    process.kill()
    process.communicate()
    for host in hosts:
        (host.folder / "root/go").touch()
    ended = resume(atex)
    assert ended.code == 1, ended
    assert audit(atex.results) == []
    (lease,) = (atex.state / "leases").glob("*.json")
    assert json.loads(lease.read_text())["kept"]
    assert atex("gc", lease.stem).code == 0
