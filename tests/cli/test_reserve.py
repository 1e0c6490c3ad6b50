"""`atex reserve`: machines are held, prepared if wanted, and all are given back."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from atex_provision import LeaseJournal

from tests.cli.command import EACH_SIGNAL, Atex, Ended, end, running, wait_for
from tests.machines import LightHost, Sshd

PREPARED = "discover: {how: fmf}\nexecute: {how: tmt}\nprepare: {how: shell, script: SCRIPT}\n"


@pytest.fixture
def journal(atex: Atex) -> Iterator[LeaseJournal]:
    """That of `atex`; all leases are gone after each test."""
    journal = LeaseJournal(atex.state / "leases")
    yield journal
    assert not journal.leases()


def lines(process: "subprocess.Popen[str]", count: int) -> list[str]:
    """Return the next lines of stdout."""
    assert process.stdout is not None
    return [process.stdout.readline().rstrip("\n") for _ in range(count)]


def lease_of(line: str) -> str:
    match = re.match(r"lease:(\S+)  ", line)
    assert match, line
    return match[1]


def on(*servers: Sshd | LightHost) -> list[object]:
    where = ",".join(f"{server.user}@{server.address}:{server.port}" for server in servers)
    return [f"ssh:{where}", "--identity", servers[0].identity]


def interrupt(process: "subprocess.Popen[str]", number: signal.Signals = signal.SIGINT) -> Ended:
    process.send_signal(number)
    return end(process)


@EACH_SIGNAL
def test_machines_are_held_until_a_signal(
    atex: Atex, journal: LeaseJournal, number: signal.Signals, code: int, word: str
) -> None:
    process = atex.start("reserve", "2xlocal", "--for", "2h")
    said = lines(process, 2)
    assert {lease_of(line) for line in said} == {lease.name for lease in journal.leases()}
    assert all(re.search(r"  local  until 20\d\d-\d\d-\d\d \d\d:\d\d$", line) for line in said)
    assert [lease.purpose for lease in journal.leases()] == ["atex reserve"] * 2
    assert all(7100 < lease.ends - time.time() < 7200 for lease in journal.leases())
    ended = interrupt(process, number)
    assert ended.code == code, ended
    assert "2 machines are held; Ctrl-C gives them back" in ended.err
    assert f"interrupted by {word}" in ended.err
    assert not journal.leases()


def test_the_login_of_a_machine_works(
    atex: Atex, journal: LeaseJournal, light_host: LightHost
) -> None:
    (light_host.folder / "root" / "note").write_text("it is this one")
    process = atex.start("reserve", *on(light_host))
    _, login = lines(process, 2)
    options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes"
    command = f"{login.strip().replace('ssh ', f'ssh {options} ', 1)} cat /root/note"
    said = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert said.stdout == "it is this one", (said, login)
    assert interrupt(process).code == 130


def test_the_end_of_the_time(atex: Atex, journal: LeaseJournal) -> None:
    ended = atex("reserve", "local", "--for", "2s")
    assert ended.code == 0, ended
    lease = lease_of(ended.lines[0])
    assert f"the lease {lease} has ended; it is given back" in ended.err


def test_one_machine_of_two_can_not_be_had(atex: Atex, journal: LeaseJournal, sshd: Sshd) -> None:
    """The other is held, and it is said."""
    where = f"ssh:{sshd.user}@{sshd.address}:{sshd.port}"
    bad = f"ssh:{sshd.user}@{sshd.address}:1"
    process = atex.start("reserve", where, bad, "--identity", sshd.identity)
    lines(process, 2)
    wait_for(lambda: len(journal.leases()) == 1, "the other to be given up")
    assert process.stderr is not None
    said = ""
    while "1 of 2 machines are held" not in said:
        said += process.stderr.readline()
    assert f"{sshd.address}:1: connection refused" in said
    ended = interrupt(process)
    assert ended.code == 130, ended


def test_no_machine_can_be_had(atex: Atex, journal: LeaseJournal, sshd: Sshd) -> None:
    sshd.stop()
    ended = atex("reserve", *on(sshd))
    assert ended.code == 75, ended
    assert "connection refused" in ended.err
    assert ended.out == ""


def test_tests_run_on_a_machine_that_is_held(
    atex: Atex, journal: LeaseJournal, light_host: LightHost
) -> None:
    """It is prepared once, tests are discovered with its context, and it is not given back."""
    atex.write("plan.fmf", PREPARED.replace("SCRIPT", "date >>/root/prepared"))
    atex.write("t.fmf", "test: 'true'\nadjust: {when: distro != mine-1, enabled: false}\n")
    process = atex.start("reserve", *on(light_host), "-c", "distro=mine-1", "--prepare", atex.tree)
    said, _ = lines(process, 2)
    assert said.endswith("  prepared")
    lease = lease_of(said)
    refused = atex("run", atex.tree, "--on", f"lease:{lease}", "--for", "2h")
    assert refused.code == 64, refused
    assert "--for: a machine that is held has its end" in refused.err
    for results in ("one", "two"):
        ended = atex("run", atex.tree, "--on", f"lease:{lease}", "--output", results)
        assert ended.code == 0, ended
        assert "1 test: 1 pass" in ended.lines
    assert [lease.name for lease in journal.leases()] == [lease]
    assert len((light_host.folder / "root" / "prepared").read_text().splitlines()) == 1
    ended = interrupt(process)
    assert ended.code == 130
    assert "1 machine is held; Ctrl-C gives it back" in ended.err
    output = re.search("output of prepare goes to (atex-runs/.*)", ended.err)
    assert output
    assert (atex.folder / output[1] / "files").is_dir(), ended


def test_what_can_not_be_prepared_is_held_nevertheless(atex: Atex, journal: LeaseJournal) -> None:
    atex.write("plan.fmf", PREPARED.replace("SCRIPT", "'echo no such luck; false'"))
    atex.write("t.fmf", "test: 'true'\n")
    process = atex.start("reserve", "local", "--prepare", atex.tree, "--output", "prepared")
    assert not lines(process, 1)[0].endswith("prepared")
    ended = interrupt(process)
    assert ended.code == 130, ended
    assert "phase 'default-0' failed: exit code 1" in ended.err, ended.err
    assert "    no such luck" in ended.err
    assert "prepared/files/local/@prepare.local-" in ended.err


def test_the_time_ends_while_it_prepares(atex: Atex, journal: LeaseJournal) -> None:
    """Nobody is told that it is held, and what prepares it ends."""
    command = f"sleep 60.{os.getpid()}"
    atex.write("plan.fmf", PREPARED.replace("SCRIPT", command))
    atex.write("t.fmf", "test: 'true'\n")
    ended = atex("reserve", "local", "--for", "3s", "--prepare", atex.tree)
    assert (ended.code, ended.out) == (75, ""), ended
    assert re.search(r"the lease local-\w+ ended before its machine was ready", ended.err), ended
    assert "held" not in ended.err
    assert not running(command)


def test_ctrl_c_while_it_prepares(atex: Atex, journal: LeaseJournal) -> None:
    started = atex.folder / "started"
    atex.write("plan.fmf", PREPARED.replace("SCRIPT", f"'touch {started}; sleep 60'"))
    atex.write("t.fmf", "test: 'true'\n")
    process = atex.start("reserve", "local", "--prepare", atex.tree)
    wait_for(started.exists, "prepare to begin")
    [lease] = journal.leases()
    assert len(lease.sessions) == 1
    ended = interrupt(process)
    assert (ended.code, ended.out) == (130, ""), ended


def test_a_second_ctrl_c_leaves_at_once(
    atex: Atex, journal: LeaseJournal, light_host: LightHost
) -> None:
    """What is not given back then is left for gc."""
    started = light_host.folder / "root" / "started"
    atex.write("plan.fmf", PREPARED.replace("SCRIPT", "'touch /root/started; sleep 60'"))
    atex.write("t.fmf", "test: 'true'\n")
    process = atex.start("reserve", *on(light_host), "--prepare", atex.tree)
    wait_for(started.exists, "prepare to begin")
    light_host.cut()
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "Ctrl-C skips the waiting" not in process.stderr.readline():
        pass
    ended = interrupt(process)
    assert ended.code == 130, ended
    assert "`atex gc` does it" in ended.err
    light_host.heal()
    assert atex("gc").code == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "POOL"),
        (["local", "--for", "0s"], "no time"),
        (["local", "--for", "soon"], "soon"),
        (["local", "--for", "366d"], "365 d at most"),
        (["local", "--for", "99999999999999d"], "365 d at most"),
        (["local", "--plan", "/p"], "--plan: only for machines that are prepared"),
        (["local", "--output", "out"], "--output: only"),
        (["local", "-e", "A=1", "--become"], "--environment, --become: only"),
        (["local", "--secret", "HOME", "--exclude", "x"], "--secret, --exclude: only"),
        (["--prepare", "2xlocal"], "`2xlocal` was taken for the TREE of --prepare; put POOL first"),
        (["--prepare"], "POOL"),
        (["lease:local-aaaaaa"], "held already"),
        (["podman"], "name an image"),
        (["ssh:@no-such-file"], "no-such-file"),
        (["podman:@no-such-file"], "no-such-file"),
    ],
)
def test_what_is_wrong_is_a_usage_error(atex: Atex, arguments: list[str], word: str) -> None:
    ended = atex("reserve", *arguments)
    assert (ended.code, ended.out) == (64, ""), ended
    assert word in ended.err


def test_a_host_in_use_is_waited_for(atex: Atex, journal: LeaseJournal, sshd: Sshd) -> None:
    first = atex.start("reserve", *on(sshd))
    [held, _] = lines(first, 2)
    second = atex.start("reserve", *on(sshd))
    assert second.stderr is not None
    told = second.stderr.readline()
    assert lease_of(held) in told
    assert "atex reserve" in told
    assert interrupt(first).code == 130
    assert lease_of(lines(second, 1)[0]) != lease_of(held)
    assert interrupt(second).code == 130
