"""Machines to run tests on, and connections to them."""

from atex_provision.connection.base import Channel, Completed, Connection
from atex_provision.connection.local import LocalConnection
from atex_provision.connection.podman import PodmanConnection
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
    HostKeyUnknown,
    JournalError,
    LeaseError,
    LeaseInUse,
    LeaseTaken,
    LoginRejected,
    NoLease,
    NoMachine,
    PodmanFailed,
    ProvisionError,
    UnknownHost,
)
from atex_provision.facts import Facts
from atex_provision.host import Host
from atex_provision.inventory import Inventory, read_inventory
from atex_provision.leases.adopt import adopt, borrow
from atex_provision.leases.holder import Holder
from atex_provision.leases.journal import LeaseJournal
from atex_provision.leases.lease import Lease, SessionNote
from atex_provision.machine import Machine, Platform
from atex_provision.podman.naming import image_context
from atex_provision.provisioner.base import Moment, Provisioner
from atex_provision.provisioner.leased import LeasedProvisioner
from atex_provision.provisioner.local import LocalProvisioner, local_platform
from atex_provision.provisioner.podman import PodmanProvisioner
from atex_provision.provisioner.pool import HostPool
from atex_provision.ssh.config import HostKeys
from atex_provision.state import state_folder

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
    "Holder",
    "Host",
    "HostKeyChanged",
    "HostKeyUnknown",
    "HostKeys",
    "HostPool",
    "Inventory",
    "JournalError",
    "Lease",
    "LeaseError",
    "LeaseInUse",
    "LeaseJournal",
    "LeaseTaken",
    "LeasedProvisioner",
    "LocalConnection",
    "LocalProvisioner",
    "LoginRejected",
    "Machine",
    "Moment",
    "NoLease",
    "NoMachine",
    "Platform",
    "PodmanConnection",
    "PodmanFailed",
    "PodmanProvisioner",
    "ProvisionError",
    "Provisioner",
    "SessionNote",
    "SshConnection",
    "UnknownHost",
    "adopt",
    "borrow",
    "image_context",
    "local_platform",
    "read_inventory",
    "state_folder",
]
