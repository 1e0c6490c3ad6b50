"""What the fixtures of the suite are."""

from typing import Protocol

from atex_provision.provisioner.base import Moment, Provisioner
from atex_provision.provisioner.leased import DAY
from atex_provision.testing.provisioner.child import Child


class NewProvisioner(Protocol):
    """Makes a provisioner whose lease is `duration` seconds long."""

    def __call__(self, *, duration: float = DAY) -> Provisioner: ...


class NewChild(Protocol):
    """Starts a process that reserves a machine, or stops at a moment of that."""

    def __call__(self, stop_at: Moment | None = None) -> Child: ...
