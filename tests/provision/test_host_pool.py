"""A pool of hosts: who gets which, who waits for whom, and what becomes of hosts that fail."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from atex_provision import (
    Aborted,
    BadHost,
    Connection,
    Host,
    HostPool,
    JournalError,
    LeaseJournal,
    Moment,
    NoMachine,
    Provisioner,
    ProvisionError,
    SshConnection,
    adopt,
    read_inventory,
)
from atex_provision.provisioner.queue import HostQueue
from atex_provision.provisioner.roster import Slot

from tests.machines import LightHost, Sshd
from tests.machines.login import host_of
from tests.provision.conftest import say
from tests.waits import PATIENCE, Background, eventually, still_waiting


def test_a_host_is_used_by_one_at_a_time(sshd: Sshd) -> None:
    pool = HostPool([host_of(sshd)])
    first, second = pool.provisioner(), pool.provisioner()
    machine = first.reserve()
    waiting = Background(second.reserve)
    with still_waiting(waiting):
        first.release()
        assert waiting.result().name == machine.name
    assert second.alive()
    assert not first.alive()
    second.release()


def test_hosts_are_shared_out(sshd: Sshd) -> None:
    pool = HostPool([host_of(sshd, name=f"box{n}", slots=(str(n),)) for n in range(3)])
    provisioners = [pool.provisioner() for _ in range(3)]
    reserved = [Background(provisioner.reserve) for provisioner in provisioners]
    assert {thread.result().name for thread in reserved} == {"box0", "box1", "box2"}
    for provisioner in provisioners:
        provisioner.release()


def test_a_host_that_fails_is_set_aside(sshd: Sshd) -> None:
    bad = Host(address="127.0.0.1", port=1, name="bad")
    pool = HostPool([bad, host_of(sshd)])
    for _ in range(2):
        with pool.provisioner() as machine:
            assert machine.name == host_of(sshd).name


def test_where_no_thread_can_be_started_no_host_is_set_aside(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool = HostPool([host_of(sshd)])
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(ProvisionError, match="can't start new thread"):
            pool.provisioner().reserve()
    with pool.provisioner() as machine:
        assert machine.name == host_of(sshd).name


def test_all_hosts_failed(sshd: Sshd) -> None:
    sshd.reject_logins()
    pool = HostPool([host_of(sshd), Host(address="127.0.0.1", port=1)])
    for _ in range(2):
        with pytest.raises(NoMachine) as caught:
            pool.provisioner().reserve()
        lines = str(caught.value).splitlines()
        assert "rejected the login" in lines[1]
        assert "127.0.0.1:1: connection refused" in lines[2]


def test_who_waits_learns_that_all_failed(sshd: Sshd) -> None:
    """The last busy host is set aside by somebody else."""
    connections: list[Connection] = []

    def connect(host: Host) -> Connection:
        connections.append(SshConnection(host))
        return connections[-1]

    pool = HostPool([host_of(sshd)], connection=connect, patience=0)
    first = pool.provisioner()
    first.reserve()
    waiting = [Background(pool.provisioner().reserve) for _ in range(2)]
    with still_waiting(waiting[0]):
        sshd.stop()
        first.release()
        for thread in waiting:
            with pytest.raises(NoMachine, match="refused"):
                thread.result()


def test_abort_ends_the_wait_for_a_host(sshd: Sshd) -> None:
    pool = HostPool([host_of(sshd)])
    with pool.provisioner():
        second = pool.provisioner()
        waiting = Background(second.reserve)
        with still_waiting(waiting):
            second.abort()
            with pytest.raises(Aborted):
                waiting.result()


@pytest.mark.parametrize("end", ["abort", "release"])
def test_abort_ends_a_connect_into_a_black_hole(light_host: LightHost, end: str) -> None:
    light_host.cut()
    host = host_of(light_host)
    pool = HostPool([host])
    provisioner = pool.provisioner()
    reserving = Background(provisioner.reserve)
    with still_waiting(reserving):
        getattr(provisioner, end)()
        with pytest.raises(Aborted):
            reserving.result()
    light_host.heal()
    with pool.provisioner() as machine:  # the host was given back, not set aside
        assert machine.name == host.name


def test_abort_in_the_moment_before_the_connect(sshd: Sshd) -> None:
    """close() comes before connect(), which cannot know of it: abort() goes on until it does."""
    aborted: list[Background[None]] = []
    closed = threading.Event()

    class Late(SshConnection):
        def connect(self) -> None:
            if not aborted:
                aborted.append(Background(provisioner.abort))
                assert closed.wait(PATIENCE)
            super().connect()
            self.run("sleep 1000")

        def close(self) -> None:
            super().close()
            closed.set()

    pool = HostPool([host_of(sshd)], connection=Late)
    provisioner = pool.provisioner()
    with pytest.raises(Aborted):
        provisioner.reserve()
    aborted[0].result()
    other = pool.provisioner()
    waiting = Background(other.reserve)
    with still_waiting(waiting):
        other.abort()
        with pytest.raises(Aborted):
            waiting.result()


def test_a_dead_machine_is_not_alive(sshd: Sshd) -> None:
    provisioner = HostPool([host_of(sshd)]).provisioner()
    with provisioner:
        sshd.kill_sessions()
        assert not provisioner.alive()


def test_bad_pools() -> None:
    with pytest.raises(BadHost, match="at least one"):
        HostPool([])
    with pytest.raises(BadHost, match=r"again: root@a "):
        HostPool([Host.parse("root@a"), Host.parse("b"), Host.parse("root@a")])


@pytest.mark.parametrize("again", ["one.lab:22", "ONE.lab.", "box"])
def test_a_pool_has_each_host_once_however_it_is_written(again: str, home: Path) -> None:
    say(home, "Host box\nHostName one.lab\n")
    HostPool([Host.parse("one.lab"), Host.parse("one.lab:23")])
    HostPool([Host(address="one.lab"), Host(address=again, name="more", slots=("1",))])
    with pytest.raises(BadHost, match="listed again"):
        HostPool([Host.parse("one.lab"), Host.parse(again)])


def test_a_host_that_is_badly_configured_is_no_bad_pool(sshd: Sshd, home: Path) -> None:
    say(home, "Host box\nPort none\n")
    with HostPool([Host.parse("box"), host_of(sshd)]).provisioner() as machine:
        assert machine.name == host_of(sshd).name


def test_a_host_takes_as_many_as_it_has_slots(sshd: Sshd) -> None:
    pool = HostPool([host_of(sshd, slots=("a", "b"))])
    first, second, third = (pool.provisioner() for _ in range(3))
    machines = [first.reserve(), second.reserve()]
    assert [machine.slot for machine in machines] == ["a", "b"]
    assert machines[0].lease != machines[1].lease
    waiting = Background(third.reserve)
    with still_waiting(waiting):
        second.release()
        assert waiting.result().slot == "b"
    first.release()
    third.release()


def test_many_threads_and_hosts() -> None:
    """No slot is dealt out twice, and no thread is forgotten."""
    queue = HostQueue([Host(address=f"h{n}", slots=("0", "1")) for n in range(100)], pause=30)
    used: list[Slot] = []
    turns: list[int] = []

    def use_some(number: int) -> None:
        for turn in range(100):
            mine = [queue.take(threading.Event(), lambda words: None) for _ in range(turn % 15)]
            used.extend(mine)
            assert len(used) == len(set(used))
            for slot in mine:
                used.remove(slot)
                queue.give_back(slot)
        turns.append(number)

    for thread in [Background(lambda n=n: use_some(n)) for n in range(20)]:  # type: ignore[misc]
        thread.result()
    assert sorted(turns) == list(range(20))


def test_who_gives_up_does_not_keep_others_from_a_slot() -> None:
    """A slot that becomes free wakes one thread, and that one is about to leave."""
    host = Host(address="box")
    queue, over = HostQueue([host], pause=30), threading.Event()
    slot = queue.take(over, lambda words: None)
    waits = [threading.Event(), threading.Event()]
    gives_up = Background(lambda: queue.take(over, lambda words: waits[0].set()))
    assert waits[0].wait(PATIENCE)
    wants = Background(lambda: queue.take(threading.Event(), lambda words: waits[1].set()))
    assert waits[1].wait(PATIENCE)
    with still_waiting(gives_up), still_waiting(wants):
        over.set()
        queue.give_back(slot)
        with pytest.raises(Aborted):
            gives_up.result()
        assert wants.result() == slot


@pytest.mark.parametrize("what", ["set aside", "lent"])
def test_who_waits_learns_of_it_although_nobody_else_asks_again(what: str) -> None:
    """Whoever had the slot was aborted meanwhile, or cannot say what became of it."""
    queue = HostQueue([Host(address="box")], pause=30)
    slot = queue.take(threading.Event(), lambda words: None)
    waits = threading.Event()
    wants = Background(lambda: queue.take(threading.Event(), lambda words: waits.set()))
    assert waits.wait(PATIENCE)
    with still_waiting(wants):
        if what == "set aside":
            queue.set_aside(slot, ProvisionError("it is on fire"))
        else:
            queue.lend(slot, "it is on fire", kept=True)
        with pytest.raises(NoMachine, match="on fire"):
            wants.result()


def test_a_lease_that_cannot_be_given_back_does_not_cost_the_slot(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is gc's from there on, and keeps nobody away."""

    def fail(journal: LeaseJournal, name: str) -> None:
        raise JournalError("the disk is full")

    pool = HostPool([host_of(sshd)])
    first, second = pool.provisioner(), pool.provisioner()
    first.reserve()
    waiting = Background(second.reserve)
    with still_waiting(waiting), monkeypatch.context() as patch:
        patch.setattr(LeaseJournal, "remove", fail)
        first.release()
        assert "the disk is full" in (first.left or "")
        waiting.result()
    first.release()
    assert first.left is None
    assert second.alive()
    third = pool.provisioner()
    waiting = Background(third.reserve)
    with still_waiting(waiting):  # the slot was not given back twice
        second.release()
        waiting.result()
    third.release()


# Hosts that fail


def progress(provisioner: Provisioner) -> list[tuple[Moment, str]]:
    """What the reservation says, from now on."""
    said: list[tuple[Moment, str]] = []
    provisioner.on_progress = lambda moment, words: said.append((moment, words))
    return said


def quickly(host: Host) -> Connection:
    return SshConnection(host, timeout=4)


def test_a_host_that_was_set_aside_is_tried_again_when_it_is_needed(
    light_hosts: Callable[[int], list[LightHost]],
) -> None:
    up, down = light_hosts(2)
    down.cut()
    pool = HostPool([host_of(down), host_of(up)], connection=quickly, pause=0.5)
    first, second = pool.provisioner(), pool.provisioner()
    said = progress(first)
    assert first.reserve().name == host_of(up).name
    [words] = [words for moment, words in said if moment == "wait"]
    assert words.startswith(f"{down.address}:22: no answer in 4 s")
    assert "; set aside for " in words
    waiting = Background(second.reserve)
    with still_waiting(waiting):
        down.heal()
        assert waiting.result().name == host_of(down).name
    first.release()
    second.release()
    with pool.provisioner() as machine:  # nothing is held against it
        assert machine.name == host_of(up).name


def test_a_host_that_was_had_before_is_waited_for(sshd: Sshd) -> None:
    pool = HostPool([host_of(sshd), Host(address="127.0.0.1", port=1)], pause=0.2)
    with pool.provisioner():
        pass
    sshd.stop()
    given_up, patient = pool.provisioner(), pool.provisioner()
    said = progress(patient)
    waiting = [Background(given_up.reserve), Background(patient.reserve)]
    eventually(lambda: any("are waited for: " in words for _, words in said))
    with still_waiting(waiting[1]):
        given_up.abort()
        with pytest.raises(Aborted):
            waiting[0].result()
        sshd.start()
        assert waiting[1].result().name == host_of(sshd).name
    patient.release()


def test_a_host_is_not_waited_for_without_end(sshd: Sshd) -> None:
    pool = HostPool([host_of(sshd)], pause=0.2, patience=0.5)
    with pool.provisioner():
        pass
    sshd.stop()
    provisioner = pool.provisioner()
    said = progress(provisioner)
    with pytest.raises(NoMachine, match="refused"):
        provisioner.reserve()
    assert any("are waited for: " in words for _, words in said)


def test_a_pool_whose_only_host_comes_back(sshd: Sshd) -> None:
    sshd.stop()
    pool = HostPool([host_of(sshd)], pause=0.3)
    started = time.monotonic()
    for _ in range(3):  # none of them waits
        with pytest.raises(NoMachine, match="refused"):
            pool.provisioner().reserve()
    sshd.start()
    eventually(lambda: succeeds(pool))
    assert time.monotonic() - started > 0.3


def succeeds(pool: HostPool) -> bool:
    try:
        with pool.provisioner():
            return True
    except NoMachine:
        return False


def test_a_host_with_another_key_is_not_tried_again(sshd: Sshd) -> None:
    tried: list[str] = []

    def connect(host: Host) -> Connection:
        tried.append(host.name)
        return SshConnection(host)

    with SshConnection(host_of(sshd)):
        sshd.restart(new_host_key=True)
    with Sshd() as other:
        pool = HostPool([host_of(sshd), host_of(other)], connection=connect, pause=0.01, patience=0)
        with pool.provisioner():
            provisioner = pool.provisioner()
            waiting = Background(provisioner.reserve)
            with still_waiting(waiting):
                provisioner.abort()
                with pytest.raises(Aborted):
                    waiting.result()
        assert tried == [host_of(sshd).name, host_of(other).name]
        other.stop()
        with pytest.raises(NoMachine, match=r"key.*\n.*refused"):
            pool.provisioner().reserve()


# Hosts that others have

HOLD = """
import sys
import msgspec
from atex_provision import Host, HostPool
with HostPool([msgspec.json.decode(sys.argv[1], type=Host)], purpose="their work").provisioner() as m:
    print(m.lease, flush=True)
    sys.stdin.read()
"""


class Other:
    """Another process, which has a machine until it is told to let go, or killed."""

    def __init__(self, host: Host) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, msgspec.json.encode(host).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.lease = self.process.stdout.readline().strip()

    def let_go(self) -> None:
        self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


@contextmanager
def other_has(host: Host) -> Iterator[Other]:
    other = Other(host)
    try:
        yield other
    finally:
        other.kill()


@pytest.mark.leaves_leases
@pytest.mark.parametrize("end", [Other.let_go, Other.kill])
def test_a_host_of_another_process_is_waited_for(sshd: Sshd, end: Callable[[Other], None]) -> None:
    with other_has(host_of(sshd)) as other:
        provisioner = HostPool([host_of(sshd)]).provisioner()
        said = progress(provisioner)
        waiting = Background(provisioner.reserve)
        eventually(lambda: said)
        with still_waiting(waiting):
            end(other)
            waiting.result()
        [(_, words), *_] = [(moment, words) for moment, words in said if moment == "wait"]
        assert f"process {other.process.pid} holds lease {other.lease} (their work)" in words
        provisioner.release()


def test_another_host_is_taken_rather_than_waited_for(sshd: Sshd) -> None:
    with Sshd() as free, other_has(host_of(sshd)) as other:
        pool = HostPool([host_of(sshd), host_of(free)])
        with pool.provisioner() as machine:
            assert machine.name == host_of(free).name
        other.let_go()


def test_the_same_host_by_another_name(sshd: Sshd, home: Path) -> None:
    """It is one host, though one process knows it by an alias."""
    (home / ".ssh").mkdir()
    (home / ".ssh/config").write_text(f"Host box\nHostName {sshd.address}\nPort {sshd.port}\n")
    with other_has(host_of(sshd)) as other:
        pool = HostPool([Host(address="box", user=sshd.user, identity=str(sshd.identity))])
        provisioner = pool.provisioner()
        said = progress(provisioner)
        waiting = Background(provisioner.reserve)
        eventually(lambda: any(other.lease in words for _, words in said))
        with still_waiting(waiting):
            provisioner.abort()
            with pytest.raises(Aborted):
                waiting.result()
        other.let_go()


def test_take_over_does_not_ask(sshd: Sshd) -> None:
    with other_has(host_of(sshd)) as other:
        with HostPool([host_of(sshd)], take_over=True).provisioner() as machine:
            assert machine.connection.run("true").exit_code == 0
        other.let_go()


def test_take_over_leaves_alone_what_is_kept_and_what_is_ours(sshd: Sshd) -> None:
    """A process that takes over from others has just kept a machine for a human."""
    with Sshd() as other:
        pool = HostPool([host_of(sshd), host_of(other)], take_over=True)
        first, second, third = (pool.provisioner() for _ in range(3))
        first.reserve()
        lease = first.keep()
        first.release()
        with second as machine:
            assert machine.name == host_of(other).name
            with pytest.raises(NoMachine, match=f"lease {lease.name} was kept"):
                HostPool([host_of(sshd)], take_over=True).provisioner().reserve()
            rival = HostPool([host_of(other)], take_over=True).provisioner()
            said = progress(rival)
            waiting = Background(rival.reserve)
            eventually(lambda: any(machine.lease in words for _, words in said))
            with still_waiting(waiting):
                rival.abort()
                with pytest.raises(Aborted):
                    waiting.result()
            waiting = Background(third.reserve)
            with still_waiting(waiting):
                adopt(lease).release()
                assert waiting.result().name == host_of(sshd).name
        third.release()


def test_two_pools_of_a_process_share_a_host(sshd: Sshd) -> None:
    one, other = HostPool([host_of(sshd)]), HostPool([host_of(sshd)])
    first, second = one.provisioner(), other.provisioner()
    first.reserve()
    waiting = Background(second.reserve)
    with still_waiting(waiting):
        first.release()
        waiting.result()
    second.release()


def test_a_kept_host_is_waited_for_only_with_others(sshd: Sshd) -> None:
    """It may be kept for a day."""
    with Sshd() as other:
        pool = HostPool([host_of(sshd), host_of(other)], patience=0)
        first, second, third = (pool.provisioner() for _ in range(3))
        first.reserve()
        lease = first.keep()
        first.release()
        with second:
            waiting = Background(third.reserve)
            with still_waiting(waiting):
                adopt(lease).release()
                assert waiting.result().name == host_of(sshd).name
            kept = third.keep()
            third.release()
        other.stop()
        for tired in (pool, HostPool([host_of(sshd), host_of(other)])):
            with pytest.raises(
                NoMachine, match=rf"refused[^\n]*\n[^\n]*lease {kept.name} was kept"
            ):
                tired.provisioner().reserve()
        adopt(kept).release()
        eventually(lambda: succeeds(pool))


@pytest.mark.leaves_leases
def test_a_dead_lease_can_be_adopted(sshd: Sshd) -> None:
    host = host_of(sshd, python="/usr/bin/python3", slots=("a",))
    with other_has(host) as other:
        other.kill()
        [lease] = LeaseJournal().leases()
        assert (lease.name, lease.machine, lease.purpose) == (other.lease, host.name, "their work")
        assert f"-i {sshd.identity}" in lease.login
        with adopt(lease) as machine:
            assert (machine.name, machine.slot, machine.python) == (host.name, "a", host.python)
            assert machine.connection.run("true").exit_code == 0
    assert LeaseJournal().leases() == []


@pytest.mark.parametrize("said", ["k", "~/k", "inventory"])
def test_a_lease_can_be_adopted_in_another_folder(
    sshd: Sshd, home: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """Also where its key was named relative to that of whoever reserved it."""
    shutil.copy(sshd.identity, home / "k")
    monkeypatch.chdir(home)
    host = host_of(sshd, identity=said)
    if said == "inventory":
        (home / "lab.toml").write_text(
            f'[[host]]\naddress="{sshd.address}"\nport={sshd.port}\nuser="{sshd.user}"\nkey="k"\n'
        )
        [host] = read_inventory(Path("lab.toml")).hosts
    first = HostPool([host]).provisioner()
    first.reserve()
    lease = first.keep()
    first.release()
    assert lease.resource["identity"] == str(home / "k")
    assert f"-i {home / 'k'} " in lease.login
    monkeypatch.chdir("/")
    with adopt(lease) as machine:
        assert machine.connection.run("true").exit_code == 0
