"""The provisioner suite, against each backend."""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import ClassVar

import pytest
from atex_provision import (
    Host,
    HostPool,
    LocalConnection,
    LocalProvisioner,
    Machine,
    PodmanProvisioner,
)
from atex_provision.podman.command import podman
from atex_provision.testing import NewProvisioner, ProvisionerSuite

from tests.machines import Sshd, remove_container, sshd_missing
from tests.machines.login import host_of
from tests.provision.provisioners import from_pool

THERE = "the machine is there before and after"


class TestLocal(ProvisionerSuite):
    cannot: ClassVar = {
        "be asked what it holds": THERE,
        "be full": "this machine takes any number",
        "die": "whoever asks would die with it",
        "fail": THERE,
        "be kept": "there is nothing to keep from anybody",
    }

    @pytest.fixture
    def new_provisioner(self) -> NewProvisioner:
        return LocalProvisioner


HOSTS = 20


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    """One for all tests; who breaks it mends it."""
    if reason := sshd_missing():
        pytest.skip(reason)
    with Sshd() as server:
        yield server


class TestPool(ProvisionerSuite):
    cannot: ClassVar = {"be asked what it holds": THERE}
    at_once = HOSTS

    @pytest.fixture
    def hosts(self, server: Sshd) -> list[Host]:
        """One machine with many slots, as cheap as possible."""
        return [host_of(server, slots=(str(n),), name=f"host{n}") for n in range(HOSTS)]

    @pytest.fixture
    def new_provisioner(self, hosts: list[Host]) -> NewProvisioner:
        return partial(from_pool, *hosts)

    @pytest.fixture
    def full(self, hosts: list[Host]) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def full() -> Iterator[None]:
            others = HostPool(hosts, connection=lambda host: LocalConnection())  # no logins
            with ExitStack() as stack:
                for _ in hosts:
                    stack.enter_context(others.provisioner())
                yield

        return full

    @pytest.fixture
    def kill(self, server: Sshd) -> Callable[[Machine], None]:
        return lambda machine: server.kill_sessions()

    @pytest.fixture
    def broken(self, server: Sshd) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def broken() -> Iterator[None]:
            server.reject_logins()
            yield
            server.accept_logins()

        return broken


class TestPodman(ProvisionerSuite):
    cannot: ClassVar = {"be full": "podman takes any number"}
    moments = ("request", "boot", "connect")

    @pytest.fixture
    def new_provisioner(self, podman_image: str) -> NewProvisioner:
        return partial(PodmanProvisioner, podman_image, network="none")

    @pytest.fixture
    def held(self, podman_image: str) -> Callable[[], Collection[str]]:
        def held() -> list[str]:
            lines = podman("ps", "--all", "--format={{.Names}} {{.Image}}").splitlines()
            return [line for line in lines if line.endswith(f" {podman_image}")]

        return held

    @pytest.fixture
    def kill(self) -> Callable[[Machine], None]:
        return lambda machine: remove_container(machine.name)

    @pytest.fixture
    def broken(self, podman_image: str) -> Callable[[], AbstractContextManager[None]]:
        """The image is not there: it has another name."""
        other = podman_image.replace(":latest", ":other")

        @contextmanager
        def broken() -> Iterator[None]:
            podman("tag", podman_image, other)
            podman("untag", other, podman_image)
            yield
            podman("tag", other, podman_image)
            podman("untag", other, other)

        return broken
