"""Machines to run tests on, and connections to them."""

from atex_provision.connection.base import Channel, Completed, Connection
from atex_provision.connection.local import LocalConnection
from atex_provision.connection.ssh import SshConnection
from atex_provision.errors import (
    Aborted,
    BadConfiguration,
    BadHost,
    BadInventory,
    CannotConnect,
    ConnectionLost,
    ConnectionRefused,
    ConnectTimeout,
    HostKeyChanged,
    LoginRejected,
    NoMachine,
    ProvisionError,
    UnknownHost,
)
from atex_provision.facts import Facts
from atex_provision.host import Host
from atex_provision.inventory import Inventory, read_inventory
from atex_provision.machine import Machine, Platform
from atex_provision.provisioner.base import Provisioner
from atex_provision.provisioner.local import LocalProvisioner, local_platform
from atex_provision.provisioner.pool import HostPool

__version__ = "0.1.0"

__all__ = [
    "Aborted",
    "BadConfiguration",
    "BadHost",
    "BadInventory",
    "CannotConnect",
    "Channel",
    "Completed",
    "ConnectTimeout",
    "Connection",
    "ConnectionLost",
    "ConnectionRefused",
    "Facts",
    "Host",
    "HostKeyChanged",
    "HostPool",
    "Inventory",
    "LocalConnection",
    "LocalProvisioner",
    "LoginRejected",
    "Machine",
    "NoMachine",
    "Platform",
    "ProvisionError",
    "Provisioner",
    "SshConnection",
    "UnknownHost",
    "local_platform",
    "read_inventory",
]
