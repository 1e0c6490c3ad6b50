"""`atex gc`: what a killed process left is given back, and nothing else."""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from atex_provision import Holder, Lease, LeaseJournal

from tests.cli.command import Atex, end, running, wait_for
from tests.machines import LightHost
from tests.machines.keeper import descendants

DEAD = Holder(pid=1, started=1, boot="another boot", host=os.uname().nodename)


@pytest.fixture
def journal(atex: Atex) -> Iterator[LeaseJournal]:
    """That of `atex`; what a test leaves there on purpose is removed."""
    journal = LeaseJournal(atex.state / "leases")
    yield journal
    for lease in journal.leases():
        journal.remove(lease.name)


def leave(journal: LeaseJournal, name: str, **fields: object) -> Lease:
    """Write a lease of this machine, as a process that is dead would have left it."""
    now = time.time()
    lease = Lease(
        name=name,
        backend="atex_provision.provisioner.local:LocalProvisioner",
        holder=DEAD,
        created=now,
        ends=now + 3600,
        purpose="atex run, results in /results",
        machine="local",
    )
    lease = msgspec.structs.replace(lease, **fields)
    journal.open(lease)
    return lease


def test_nothing(atex: Atex) -> None:
    ended = atex("gc")
    assert (ended.code, ended.lines, ended.err) == (0, ["Nothing is left behind."], "")
    assert not atex.state.exists()


def test_what_is_left_is_shown_and_given_back(atex: Atex, journal: LeaseJournal) -> None:
    leave(journal, "local-aaaaaa", created=time.time() - 7200)
    leave(journal, "local-bbbbbb", created=time.time() - 600, purpose="two\nlines \x1b[31m")
    ended = atex("gc")
    assert (ended.code, ended.err) == (0, ""), ended
    assert ended.lines[:3] == [
        "LEASE         MACHINE  AGE     STATE        PURPOSE",
        "local-aaaaaa  local    2 h     left behind  /results",
        "local-bbbbbb  local    10 min  left behind  two lines \\x1b[31m",
    ]
    assert sorted(ended.lines[3:]) == [
        "local-aaaaaa is given back",
        "local-bbbbbb is given back",
    ]
    assert not journal.leases()


def test_dry_changes_nothing(atex: Atex, journal: LeaseJournal) -> None:
    lease = leave(journal, "local-aaaaaa")
    ended = atex("gc", "--dry")
    assert (ended.code, len(ended.lines)) == (0, 2)
    assert journal.leases() == [lease]


def test_older_than(atex: Atex, journal: LeaseJournal) -> None:
    leave(journal, "local-aaaaaa", created=time.time() - 7200)
    young = leave(journal, "local-bbbbbb", created=time.time() - 1800)
    assert atex("gc", "--older-than", "1h").code == 0
    assert journal.leases() == [young]
    assert atex("gc", "--older-than", "some time").code == 64
    both = atex("gc", young.name, "--older-than", "1h")
    assert both.code == 64
    assert "omit --older-than" in both.err
    assert journal.leases() == [young]


def test_what_was_kept_is_given_back_by_name_or_when_its_time_is_up(
    atex: Atex, journal: LeaseJournal
) -> None:
    kept = leave(journal, "local-aaaaaa", kept=True, purpose="/test failed")
    leave(journal, "local-bbbbbb", kept=True, ends=time.time() - 1)
    ended = atex("gc")
    assert re.search(
        r"aaaaaa +local +\d+ \w+ +kept until 20\d\d-\d\d-\d\d \d\d:\d\d +/test", ended.out
    )
    assert re.search(r"bbbbbb +local +\d+ \w+ +kept, its time is up +/results", ended.out)
    assert journal.leases() == [kept]
    assert "by name" in ended.lines[-1]
    assert atex("gc", "local-aaaaaa").lines[-1] == "local-aaaaaa is given back"
    assert not journal.leases()


def test_how_to_log_in_where_a_machine_was_kept(atex: Atex, journal: LeaseJournal) -> None:
    """And all on lines that a terminal has."""
    results = "/home/me/atex-runs/2026-11-21-18.30.12"
    common = {
        "purpose": f"atex run, results in {results}",
        "login": "podman exec -it NAME /bin/bash",
    }
    leave(journal, "podman-aaaaaa", machine="podman-aaaaaa", created=1.0, **common)
    kept = time.time() - 60
    leave(journal, "podman-bbbbbb", machine="podman-bbbbbb", created=kept, kept=True, **common)
    leave(journal, "podman-cccccc", ends=1e20, kept=True, **common)
    _, dead, kept_row, login, forever, _ = atex("gc", "--dry").lines
    assert re.fullmatch(rf"podman-aaaaaa +- +\d+ d +left behind +{results}", dead)
    assert re.fullmatch(rf"podman-bbbbbb +- +1 min +kept until .{{16}} +{results}", kept_row)
    assert len(kept_row) <= 100
    assert login == "    podman exec -it NAME /bin/bash"
    assert "kept until @1e+20" in forever


def test_only_what_is_named(atex: Atex, journal: LeaseJournal) -> None:
    leave(journal, "local-aaaaaa")
    other = leave(journal, "local-bbbbbb")
    assert atex("gc", "lease:local-aaaaaa").code == 0
    assert journal.leases() == [other]
    unknown = atex("gc", "local-aaaaaa")
    assert unknown.code == 64
    assert "no lease local-aaaaaa; there are: local-bbbbbb" in unknown.err


def test_what_a_living_process_holds_is_not_touched(atex: Atex, journal: LeaseJournal) -> None:
    mine = leave(journal, "local-aaaaaa", holder=Holder.myself())
    assert atex("gc").lines == ["Nothing is left behind."]
    named = atex("gc", mine.name)
    assert named.code == 64
    assert f"process {os.getpid()} holds lease local-aaaaaa" in named.err
    assert f"kill -INT {os.getpid()}" in named.err
    assert journal.leases() == [mine]


def test_no_process_is_to_be_killed_that_is_not_to_be_seen_from_here(
    atex: Atex, journal: LeaseJournal
) -> None:
    elsewhere = Holder(pid=1, started=1, boot="another boot", host="one.lab")
    lease = leave(journal, "local-aaaaaa", holder=elsewhere)
    named = atex("gc", lease.name)
    assert named.code == 64
    assert "process 1 of one.lab holds lease local-aaaaaa" in named.err
    assert "kill" not in named.err


def test_files_that_are_no_leases_are_named_and_left(atex: Atex, journal: LeaseJournal) -> None:
    leave(journal, "local-aaaaaa")
    garbage = journal.folder / "garbage-aaaaaa.json"
    garbage.write_text("{")
    other = journal.folder / "notes.txt"
    other.write_text("mine")
    ended = atex("gc")
    assert ended.code == 0
    assert str(garbage) in ended.err
    assert not journal.leases()
    assert (garbage.read_text(), other.read_text()) == ("{", "mine")
    garbage.unlink()


def test_what_can_not_be_given_back_stays(atex: Atex, journal: LeaseJournal) -> None:
    lease = leave(journal, "gone-aaaaaa", backend="no_such_module:Provisioner")
    leave(journal, "local-aaaaaa")
    ended = atex("gc")
    assert ended.code == 75
    assert "gone-aaaaaa is not given back" in ended.err
    assert "no_such_module" in ended.err
    assert journal.leases() == [lease]


BROKEN = """
from atex_provision import LocalProvisioner

class Broken(LocalProvisioner):
    def release(self):
        raise ZeroDivisionError("of all things")
"""


def test_backends_that_fail_in_unforeseen_ways(atex: Atex, journal: LeaseJournal) -> None:
    """Each is told of, its lease stays, and the others are given back."""
    (atex.folder / "broken.py").write_text(BROKEN)
    atex.environment["PYTHONPATH"] = str(atex.folder)
    host = leave(journal, "a-aaaaaa", backend="atex_provision.provisioner.host:HostProvisioner")
    abstract = leave(journal, "b-aaaaaa", backend="atex_provision:LeasedProvisioner")
    broken = leave(journal, "c-aaaaaa", backend="broken:Broken")
    leave(journal, "local-aaaaaa")
    ended = atex("gc")
    assert ended.code == 75, ended
    assert ended.lines[-1] == "local-aaaaaa is given back"
    for lease in (host, abstract, broken):
        assert f"{lease.name} is not given back" in ended.err
    assert "ZeroDivisionError: of all things" in ended.err
    assert {lease.name for lease in journal.leases()} == {host.name, abstract.name, broken.name}


def test_several_at_once_give_back_once(atex: Atex, journal: LeaseJournal) -> None:
    for number in range(30):
        leave(journal, f"local-{number:06x}")
    for process in [atex.start("gc") for _ in range(2)]:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, ""), (out, err)
    assert not journal.leases()


def test_a_killed_reserve(atex: Atex, journal: LeaseJournal) -> None:
    process = atex.start("reserve", "local")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("lease:local-")
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert len(journal.leases()) == 1
    assert atex("gc").code == 0
    assert not journal.leases()


WAITS = "test: touch {folder}/started; until [ -e {folder}/go ]; do sleep 0.05; done\n"


def use(atex: Atex, lease: str) -> "subprocess.Popen[str]":
    """A run on a lease, in the midst of a test that ends when there is a file `go`."""
    atex.write("t.fmf", WAITS.format(folder=atex.folder))
    process = atex.start_run("--on", f"lease:{lease}")
    wait_for((atex.folder / "started").exists, "the test to start")
    return process


def end_use(atex: Atex, process: "subprocess.Popen[str]") -> None:
    (atex.folder / "go").touch()
    ended = end(process)
    assert ended.code == 0, ended


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_on_a_lease_whose_holder_has_ended(
    atex: Atex, journal: LeaseJournal, number: signal.Signals
) -> None:
    """Its machine is not taken from it."""
    reserve = atex.start("reserve", "local")
    assert reserve.stdout is not None
    reserve.stdout.readline()
    [lease] = journal.leases()
    run = use(atex, lease.name)
    reserve.send_signal(number)
    reserve.wait(60)
    ended = atex("gc")
    assert ended.code == 0, ended
    assert re.search(rf"used by process {run.pid} +atex reserve", ended.out), ended
    assert len(ended.lines) == 2
    assert [lease.name for lease in journal.leases()] == [lease.name]
    end_use(atex, run)
    assert atex("gc").lines[-1] == f"{lease.name} is given back"
    assert not journal.leases()


def test_a_run_on_a_lease_that_was_kept(atex: Atex, journal: LeaseJournal) -> None:
    lease = leave(journal, "local-aaaaaa", kept=True)
    run = use(atex, lease.name)
    named = atex("gc", lease.name)
    assert named.code == 64
    assert f"process {run.pid} uses the machine of lease local-aaaaaa" in named.err
    assert f"kill -INT {run.pid}" in named.err
    end_use(atex, run)
    assert journal.leases() == [lease]
    assert atex("gc", lease.name).code == 0
    assert not journal.leases()


# With what runs on the machines.

SESSIONS = Path("var/lib/atex/sessions")
STUBBORN = "test: trap '' INT; touch {started}; while :; do {sleep}; done\n"


@pytest.fixture
def sleep() -> str:
    """A command that no other test on this box runs."""
    return f"sleep 78.{random.randrange(10**9)}"


def killed_run(atex: Atex, started: Path, *on: object) -> None:
    """Kill a run in the midst of a test that ignores SIGINT."""
    process = atex.start_run(*on)
    wait_for(started.exists, "the test to start")
    process.send_signal(signal.SIGKILL)
    process.wait(60)


def test_a_killed_run_on_this_machine(atex: Atex, journal: LeaseJournal, sleep: str) -> None:
    started = atex.folder / "started"
    atex.write("t.fmf", STUBBORN.format(started=started, sleep=sleep))
    killed_run(atex, started, "--on", "local")
    [lease] = journal.leases()
    [note] = lease.sessions
    assert lease.purpose == f"atex run, results in {atex.results}"
    assert running(sleep)
    assert Path("/", SESSIONS, note.id).exists()
    ended = atex("gc")
    assert ended.code == 0, ended
    assert not running(sleep)
    assert not Path("/", SESSIONS, note.id).exists()
    assert not journal.leases()


def test_a_killed_run_on_a_host(
    atex: Atex, journal: LeaseJournal, light_host: LightHost, sleep: str
) -> None:
    started = light_host.folder / "root" / "started"
    atex.write("t.fmf", STUBBORN.format(started="/root/started", sleep=sleep))
    killed_run(atex, started, *on(light_host))
    assert running(sleep)
    ended = atex("gc")
    assert ended.code == 0, ended
    assert not running(sleep)
    assert not list(descendants(light_host.init))
    assert not list((light_host.folder / SESSIONS).iterdir())
    assert not journal.leases()


def test_a_host_that_can_not_be_reached_keeps_its_lease(
    atex: Atex, journal: LeaseJournal, light_host: LightHost, sleep: str
) -> None:
    started = light_host.folder / "root" / "started"
    atex.write("t.fmf", STUBBORN.format(started="/root/started", sleep=sleep))
    killed_run(atex, started, *on(light_host))
    light_host.crash()
    atex.ssh_config.parent.mkdir()
    atex.ssh_config.write_text("ConnectTimeout 2\n")
    ended = atex("gc")
    assert ended.code == 75, ended
    assert f"{light_host.address}:22: no answer in 2 s" in ended.err
    assert len(journal.leases()) == 1
    light_host.boot()
    atex.ssh_config.unlink()
    ended = atex("gc")
    assert ended.code == 0, ended
    assert not list(descendants(light_host.init))
    assert not list((light_host.folder / SESSIONS).iterdir())
    assert not journal.leases()


def test_two_runs_side_by_side(
    atex: Atex, journal: LeaseJournal, light_hosts: Callable[[int], list[LightHost]]
) -> None:
    """Of one that was killed nothing is left; the other goes on."""
    one, two = light_hosts(2)
    started = [host.folder / "root" / "started" for host in (one, two)]
    atex.write("t.fmf", "test: touch /root/started; until [ -e /root/go ]; do sleep 0.05; done\n")
    living = atex.start("run", atex.tree, "--output", "living", *on(two))
    wait_for(started[1].exists, "the test that lives")
    killed_run(atex, started[0], *on(one))
    assert len(journal.leases()) == 2
    ended = atex("gc")
    assert ended.code == 0, ended
    [lease] = journal.leases()
    assert lease.machine == two.user + "@" + two.address
    (two.folder / "root" / "go").touch()
    assert end(living).code == 0


def test_a_host_that_somebody_uses_by_now(
    atex: Atex, journal: LeaseJournal, light_host: LightHost
) -> None:
    """The agent of the killed run is gone already; the one that runs there is not disturbed."""
    root = light_host.folder / "root"
    script = "touch /root/started; until [ -e /root/go ]; do sleep 0.05; done"
    atex.write("t.fmf", f"test: {script}\n")
    killed_run(atex, root / "started", *on(light_host))
    (root / "started").unlink()
    living = atex.start("run", atex.tree, "--output", "living", *on(light_host), "--take-over")
    wait_for((root / "started").exists, "the second run to take the machine over")
    ended = atex("gc")
    assert ended.code == 0, ended
    assert len(journal.leases()) == 1
    (root / "go").touch()
    ended = end(living)
    assert ended.code == 0, ended


def on(host: LightHost) -> list[object]:
    return ["--on", f"ssh:{host.user}@{host.address}", "--identity", host.identity]
