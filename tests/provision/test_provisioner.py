"""What every provisioner keeps."""

import time
from collections.abc import Callable

import pytest
from atex_provision import (
    Aborted,
    ConnectionLost,
    HostPool,
    LocalProvisioner,
    Provisioner,
    ProvisionError,
)

from tests.machines.login import host_of
from tests.waits import Background, still_waiting

Factory = Callable[[], Provisioner]


@pytest.fixture(params=["local", "pool"])
def factory(request: pytest.FixtureRequest) -> Factory:
    """A factory of each kind, with one machine to give."""
    if request.param == "local":
        return LocalProvisioner
    return HostPool([host_of(request.getfixturevalue("sshd"))]).provisioner


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
