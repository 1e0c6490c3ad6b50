"""Containers as machines: what only they do."""

import threading
import time

import pytest
from atex_provision import Aborted, LeaseJournal, PodmanFailed, PodmanProvisioner, adopt
from atex_provision.podman import container
from atex_provision.podman.command import podman

from tests.waits import PATIENCE, Background, still_waiting


def test_a_container_is_called_like_its_lease(podman_image: str) -> None:
    provisioner = PodmanProvisioner(podman_image, network="none", purpose="to see it", duration=600)
    said: list[str] = []
    provisioner.on_progress = lambda moment, words: said.append(moment)
    with provisioner as machine:
        (lease,) = LeaseJournal().leases()
        assert machine.name == machine.lease == lease.name == lease.machine
        assert lease.name.startswith("podman-")
        assert lease.login == f"podman exec -it {lease.name} /bin/sh"
        assert machine.facts.distro == "debian-12"
        assert machine.lease_end is not None
        assert 0 < machine.lease_end - time.time() < 600
        assert machine.connection.run("hostname").stdout.decode() == f"{lease.name}\n"
        listed = podman("ps", "--format={{.Names}}", f"--filter=label=atex.lease={lease.name}")
        assert listed == f"{lease.name}\n"
    assert said == ["request", "boot", "connect"]
    assert container.state(lease.name) is None


def test_an_image_that_is_not_there() -> None:
    provisioner = PodmanProvisioner("localhost/no-such-image")
    with pytest.raises(PodmanFailed, match="no such image on this machine"):
        provisioner.reserve()
    assert LeaseJournal().leases() == []


def test_who_adopts_a_container_of_systemd_waits_for_its_boot(podman_image: str) -> None:
    first = PodmanProvisioner(podman_image, network="none", systemd=True)
    name = first.reserve().lease
    first.keep()
    first.release()
    podman("stop", "--time=0", name)
    second = adopt(name)
    with second as machine:
        said = machine.connection.run("systemctl is-system-running").stdout
        assert said in {b"running\n", b"degraded\n"}  # its sshd has no host keys
    assert container.state(name) is None


def test_who_waits_for_a_turn_is_aborted(
    podman_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers come up a few at a time."""
    monkeypatch.setattr("atex_provision.provisioner.podman._turns", threading.Semaphore(0))
    provisioner = PodmanProvisioner(podman_image, network="none")
    coming = threading.Event()
    provisioner.on_progress = lambda moment, words: coming.set() if moment == "boot" else None
    reserving = Background(provisioner.reserve)
    assert coming.wait(PATIENCE)
    with still_waiting(reserving):
        provisioner.abort()
        with pytest.raises(Aborted):
            reserving.result()
    assert provisioner.left is None
