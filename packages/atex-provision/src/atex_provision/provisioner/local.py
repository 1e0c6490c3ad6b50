"""This very machine."""

from atex_provision.connection.local import LocalConnection
from atex_provision.facts import local_context
from atex_provision.machine import Machine, Platform
from atex_provision.provisioner.connecting import ConnectingProvisioner


class LocalProvisioner(ConnectingProvisioner):
    """Hands out the machine that this process runs on. Tests do run here, with all they do to a
    machine.
    """

    def reserve(self) -> Machine:
        self._begin()
        return self._connect(LocalConnection(), "local")


def local_platform() -> Platform:
    """The platform that this machine is, by its own os-release."""
    return Platform("local", local_context())
