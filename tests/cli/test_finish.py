"""`finish` runs on each machine on which `prepare` was begun and that can still run it, before it is given back."""

import json
import signal

import pytest

from tests.cli.command import Atex, await_line, end, wait_for
from tests.machines import LightHost


@pytest.fixture
def plan(atex: Atex) -> None:
    write_plan(atex)


def write_plan(atex: Atex, *, prepare: str = "true", finish: str = "echo cleaned") -> None:
    atex.write(
        "plan.fmf",
        "discover: {how: fmf}\nexecute: {how: tmt}\n"
        f"prepare: {{how: shell, name: setup, script: {json.dumps(prepare)}}}\n"
        f"finish: {{how: shell, name: clean, script: {json.dumps(finish)}}}\n",
    )


def cleaned(atex: Atex) -> list[str]:
    """The machines on which finish ran to its end."""
    files = (atex.results / "files").glob("*/@finish.*/clean.txt")
    return sorted(
        file.parent.name.removeprefix("@finish.")
        for file in files
        if file.read_text() == "cleaned\n"
    )


@pytest.mark.usefixtures("plan")
@pytest.mark.parametrize(
    ("script", "code", "machines"),
    [
        ("exit 1", 1, ["local"]),
        ("echo abort it burns >&$ATEX_TEST_CONTROL; sleep 60", 2, ["local", "local-2"]),
        ("kill -9 $PPID; sleep 60", 75, ["local"]),
    ],
    ids=["failed", "aborted", "agent killed"],
)
def test_after_a_test_that(atex: Atex, script: str, code: int, machines: list[str]) -> None:
    atex.write("a.fmf", f"order: 1\ntest: {script}\n")
    atex.write("b.fmf", "order: 2\ntest: 'true'\n")
    ended = atex.run("--on", "local")
    assert ended.code == code, ended
    assert cleaned(atex) == machines


def test_after_a_prepare_that_failed(atex: Atex) -> None:
    write_plan(atex, prepare="exit 1")
    atex.write("a.fmf", "test: 'true'\n")
    ended = atex.run("--on", "local")
    assert ended.code == 75, ended
    assert cleaned(atex) == ["local"]


@pytest.mark.usefixtures("plan")
def test_on_each_machine(atex: Atex) -> None:
    meet = "touch {me}; until [ -e {other} ]; do sleep 0.01; done"
    one, other = atex.folder / "one", atex.folder / "other"
    atex.write("one.fmf", f"test: {meet.format(me=one, other=other)}\n")
    atex.write("other.fmf", f"test: {meet.format(me=other, other=one)}; exit 1\n")
    ended = atex.run("--on", "2xlocal")
    assert ended.code == 1, ended
    assert cleaned(atex) == ["local", "local-2"]


@pytest.mark.usefixtures("plan")
def test_after_ctrl_c_in_a_test(atex: Atex) -> None:
    started = atex.folder / "started"
    atex.write("a.fmf", f"test: touch {started}; sleep 60\n")
    process = atex.start_run("--on", "local")
    wait_for(started.exists, "the test")
    process.send_signal(signal.SIGINT)
    ended = end(process)
    assert ended.code == 130, ended
    assert cleaned(atex) == ["local"]


def test_after_ctrl_c_in_prepare(atex: Atex) -> None:
    begun = atex.folder / "begun"
    write_plan(atex, prepare=f"touch {begun}; sleep 60")
    atex.write("a.fmf", "test: 'true'\n")
    process = atex.start_run("--on", "local")
    wait_for(begun.exists, "prepare")
    process.send_signal(signal.SIGINT)
    ended = end(process)
    assert ended.code == 130, ended
    assert atex.finals()["/a"]["note"] == "interrupted by Ctrl-C"
    assert cleaned(atex) == ["local"]


def test_ctrl_c_lets_a_finish_that_goes_on_come_to_its_end(atex: Atex) -> None:
    begun, go = atex.folder / "begun", atex.folder / "go"
    write_plan(atex, finish=f"touch {begun}; until [ -e {go} ]; do sleep 0.01; done; echo cleaned")
    atex.write("a.fmf", "test: 'true'\n")
    process = atex.start_run("--on", "local")
    wait_for(begun.exists, "finish")
    process.send_signal(signal.SIGINT)
    await_line(process, "Ctrl-C skips the waiting")
    go.touch()
    ended = end(process)
    assert ended.code == 130, ended
    assert cleaned(atex) == ["local"]
    assert atex.finals()["/a"]["status"] == "pass"


@pytest.mark.usefixtures("plan")
def test_not_after_a_second_ctrl_c(atex: Atex) -> None:
    started = atex.folder / "started"
    atex.write("a.fmf", f"test: trap '' INT; touch {started}; while :; do sleep 0.1; done\n")
    process = atex.start_run("--on", "local")
    wait_for(started.exists, "the test")
    process.send_signal(signal.SIGINT)
    await_line(process, "Ctrl-C skips the waiting")
    process.send_signal(signal.SIGINT)
    ended = end(process)
    assert ended.code == 130, ended
    assert cleaned(atex) == []


@pytest.mark.usefixtures("plan")
def test_after_a_machine_restarted_under_its_test(atex: Atex, light_host: LightHost) -> None:
    started = light_host.folder / "root/started"
    atex.write("a.fmf", "test: touch /root/started; sleep 60\n")
    pool = ["--on", f"ssh:root@{light_host.address}", "--identity", light_host.identity]
    process = atex.start_run(*pool, "--infra-retries", "0")
    wait_for(started.exists, "the test")
    light_host.crash()
    light_host.boot()
    ended = end(process)
    assert ended.code == 75, ended
    assert cleaned(atex) == [f"root@{light_host.address}"]
