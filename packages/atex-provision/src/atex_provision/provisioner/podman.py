"""Containers of the podman of this machine, one per lease.

The container is called like its lease, so whoever has the lease's file finds it, whatever became of
the process that wanted it. Its end is podman's matter (`--timeout`).
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Self

import msgspec

from atex_provision.connection.base import Connection
from atex_provision.connection.podman import BOOT_TIME, PodmanConnection
from atex_provision.leases.journal import LeaseJournal
from atex_provision.leases.lease import Lease
from atex_provision.podman import container
from atex_provision.podman.command import Interruptible
from atex_provision.podman.image import ImagePreparer, preparing
from atex_provision.provisioner.leased import DAY, LeasedProvisioner

# Containers of this process that come up at the same time. These keep all cores busy; more would not be
# there sooner, but the first of them much later.
_turns = threading.BoundedSemaphore(2 * (os.cpu_count() or 1))
LOOK = 1.0  # seconds between looks whether it is over, for who waits for that


class PodmanProvisioner(LeasedProvisioner):
    """Makes a container of `image`, in which commands run as root, and removes it."""

    kind: ClassVar[str] = "podman"
    boot_time = BOOT_TIME

    def __init__(
        self,
        image: str,
        *,
        systemd: bool = False,
        volumes: Sequence[str] = (),
        network: str | None = None,
        privileged: bool = False,
        prepare: Sequence[str] = (),
        duration: float = DAY,
        purpose: str = "",
        journal: LeaseJournal | None = None,
    ) -> None:
        """`systemd`: the container's first process is its /sbin/init, so that services run and it can
        reboot; else one that does nothing. `volumes` and `network` are as `podman run` has them, a
        folder of this machine with its whole path, or beginning with a dot.

        `prepare`: commands that make the image what is needed, run by its sh as root; once, for all
        containers to come. An image without python3 gets it as well.
        """
        super().__init__(duration=duration, purpose=purpose, journal=journal)
        self.settings = container.Settings(
            image=image,
            systemd=systemd,
            volumes=tuple(volumes),
            network=network,
            privileged=privileged,
        )
        self.prepare = tuple(prepare)
        self._podman = Interruptible(self._check_over)

    def _resource(self) -> dict[str, str]:
        return {
            "image": self.settings.image,
            **({"systemd": "yes"} if self.settings.systemd else {}),
        }

    def _acquire(self, lease: Lease) -> None:
        preparer = ImagePreparer(
            lease.name,
            network=self.settings.network,
            by=self._podman,
            tell=lambda words: self._progress("wait", words),
            pause=self._pause,
        )
        image = preparer.image_for(self.settings.image, self.prepare)
        self._progress("boot", f"making a container of {image}")
        settings = msgspec.structs.replace(self.settings, image=image)
        with self._turn():
            seconds = lease.ends - time.time()
            self._podman.finish(
                container.create(lease.name, settings, lease=lease.name, seconds=seconds)
            )
            self._check_over()
            container.start(lease.name)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Waits until few enough others of this process are coming up. Raises Aborted."""
        while not _turns.acquire(timeout=LOOK):
            self._check_over()
        try:
            yield
        finally:
            _turns.release()

    def _connection(self, lease: Lease) -> Connection:
        return PodmanConnection(
            lease.name, systemd=bool(lease.resource.get("systemd")), ends=lease.ends
        )

    def _interrupt(self) -> None:
        self._podman.interrupt()

    def _free(self, lease: Lease) -> None:
        container.remove(lease.name, preparing(lease.name))

    @classmethod
    def _of(cls, lease: Lease, journal: LeaseJournal) -> Self:
        return cls(lease.resource.get("image", ""), journal=journal)
