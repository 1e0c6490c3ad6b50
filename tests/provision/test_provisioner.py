"""What every provisioner keeps, and the pool of hosts."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from atex_provision import (
    Aborted,
    BadHost,
    Connection,
    ConnectionLost,
    Host,
    HostPool,
    LocalProvisioner,
    NoMachine,
    Provisioner,
    ProvisionError,
    SshConnection,
)

from tests.machines import LightHost, Sshd
from tests.machines.login import host_of
from tests.waits import PATIENCE, Background

Factory = Callable[[], Provisioner]


@pytest.fixture(params=["local", "pool"])
def factory(request: pytest.FixtureRequest) -> Factory:
    """A factory of each kind, with one machine to give."""
    if request.param == "local":
        return LocalProvisioner
    return HostPool([host_of(request.getfixturevalue("sshd"))]).provisioner


@contextmanager
def still_waiting(thread: Background[Any]) -> Iterator[None]:
    """The thread waits before, and ends within 5 seconds after."""
    with pytest.raises(AssertionError):
        thread.result(0.1)
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 5


# Every provisioner


def test_reserve_and_release(factory: Factory) -> None:
    provisioner = factory()
    assert not provisioner.alive()
    machine = provisioner.reserve()
    assert machine.connection.run("echo here").stdout == b"here\n"
    assert machine.facts.arch
    assert machine.lease_end is not None
    assert machine.lease_end > time.time()
    assert provisioner.alive()
    provisioner.release()
    provisioner.release()
    assert not provisioner.alive()
    with pytest.raises(ConnectionLost):
        machine.connection.run("true")


def test_a_context_manager_releases(factory: Factory) -> None:
    provisioner = factory()
    with provisioner as machine:
        assert machine.marks == {}
        machine.marks["seen"] = "yes"
    assert not provisioner.alive()
    with factory() as machine:
        assert machine.marks == {}


def test_a_provisioner_reserves_once(factory: Factory) -> None:
    provisioner = factory()
    with provisioner, pytest.raises(ProvisionError, match="once"):
        provisioner.reserve()
    with pytest.raises(Aborted):
        provisioner.reserve()


@pytest.mark.parametrize("end", ["abort", "release"])
def test_what_is_over_before_it_began_is_aborted(factory: Factory, end: str) -> None:
    provisioner = factory()
    getattr(provisioner, end)()
    getattr(provisioner, end)()
    with pytest.raises(Aborted):
        provisioner.reserve()
    with factory():
        pass


def test_abort_takes_a_machine_in_use(factory: Factory) -> None:
    provisioner = factory()
    machine = provisioner.reserve()
    running = Background(lambda: machine.connection.run("sleep 1000"))
    with still_waiting(running):
        provisioner.abort()
        with pytest.raises(ConnectionLost):
            running.result()
    assert not provisioner.alive()
    with factory():
        pass


def test_any_number_of_threads_may_abort(factory: Factory) -> None:
    provisioner = factory()
    provisioner.reserve()
    for thread in [Background(provisioner.abort) for _ in range(8)]:
        thread.result()
    with factory():
        pass


# The pool


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

    pool = HostPool([host_of(sshd)], connection=connect)
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
