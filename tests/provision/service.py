"""A service that gives machines, and a provisioner for it: as slow and as broken as a test wants it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

from atex_provision import (
    Connection,
    Lease,
    LeasedProvisioner,
    LeaseJournal,
    LocalConnection,
    ProvisionError,
)

from tests.waits import PATIENCE


class Service:
    """A folder with a file for each machine that somebody has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: list[tuple[str, str]] = []

    @property
    def machines(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    def give(self, name: str) -> None:
        self.calls.append(("give", name))
        (self.folder / name).touch()

    def take(self, name: str) -> None:
        self.calls.append(("take", name))
        (self.folder / name).unlink(missing_ok=True)

    def taken(self, name: str) -> int:
        return self.calls.count(("take", name))


class Served(LeasedProvisioner):
    """A machine of a service. `during` is called with the name of a step before it is done."""

    kind: ClassVar[str] = "served"

    def __init__(
        self,
        service: Service,
        *,
        during: Callable[[str], None] = lambda step: None,
        connection: Callable[[], Connection] = LocalConnection,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.service = service
        self.during = during
        self.make_connection = connection

    def _resource(self) -> dict[str, str]:
        return {"folder": str(self.service.folder)}

    def _acquire(self, lease: Lease) -> None:
        self.during("ask")
        self.service.give(lease.name)
        self.during("asked")
        self._learn(number="7")
        self._progress("wait", "in the queue")
        self.during("wait")

    def _connection(self, lease: Lease) -> Connection:
        self.during("connect")
        return self.make_connection()

    def _free(self, lease: Lease) -> None:
        self.during("free")
        self.service.take(lease.name)

    @classmethod
    def _of(cls, lease: Lease, journal: LeaseJournal) -> Self:
        return cls(Service(Path(lease.resource["folder"])), journal=journal)


class Staying(Served):
    """The machine is there afterwards."""

    outlives_lease: ClassVar[bool] = True


class Gate:
    """Stops whoever comes to a step until it is opened."""

    def __init__(self, step: str) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self._step = step

    def __call__(self, step: str) -> None:
        if step == self._step and not self.opened.is_set():
            self.reached.set()
            assert self.opened.wait(PATIENCE)


def fail_at(wanted: str, times: int = 1) -> Callable[[str], None]:
    """Fails so many times at a step."""
    left = [times]

    def during(step: str) -> None:
        if step == wanted and left[0]:
            left[0] -= 1
            raise ProvisionError(f"no luck with {step}")

    return during
