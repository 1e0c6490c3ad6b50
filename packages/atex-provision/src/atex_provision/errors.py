"""What can go wrong between asking for a machine and giving it back.

One root, so that a caller needs one `except`. A message says what happened, to which machine, and
what to do. Nothing of paramiko or subprocess leaves this package: it is translated where it arises.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from atex_provision.leases.lease import Lease


class ProvisionError(Exception):
    """The root of all errors of this package.

    `permanent` tells whoever retries that trying again is senseless until a human has changed
    something.
    """

    permanent = False


class ConnectionLost(ProvisionError, ConnectionError):
    """A connection broke, or somebody closed it, while it was used (or before: it is not
    connected).

    Not raised when a command fails or ends: that is an exit code, or the end of its output.
    `Connection.connect()` may bring a new connection.
    """


class CannotConnect(ProvisionError, ConnectionError):
    """There is no connection to the machine. The subclasses say why; this one itself is for all the
    rest.
    """


class ConnectionRefused(CannotConnect):
    """The machine is there, but nobody listens on that port: sshd is not running, or not running
    yet.
    """


class ConnectTimeout(CannotConnect):
    """The machine did not answer in time."""


class UnknownHost(CannotConnect):
    """The host's name has no address."""


class LoginRejected(CannotConnect):
    """The server accepted none of the keys. Not permanent: a machine that is booting may do that,
    too (pam_nologin).
    """


class HostKeyChanged(CannotConnect):
    """The server's key is not the one that is known for it, or it is revoked: perhaps it is not our
    machine.
    """

    permanent = True


class HostKeyUnknown(CannotConnect):
    """Nothing is known of the server's key, and only known ones are accepted (`host_keys="strict"`, or
    StrictHostKeyChecking).
    """

    permanent = True


class BadConfiguration(CannotConnect):
    """The ssh config or a key file can not be used as it is; nobody has been asked for anything
    yet.
    """

    permanent = True


class BadHost(ProvisionError, ValueError):
    """A text that should name a host does not, or what is said of a host does not fit together."""


class BadInventory(ProvisionError, ValueError):
    """A file that should list hosts does not; the message names the file, and the key that is
    wrong.
    """


class Aborted(ProvisionError):
    """`Provisioner.abort()` ended this reservation."""


class NoMachine(ProvisionError):
    """There is no machine to be had, and waiting would not help: all hosts of the pool have
    failed.
    """

    permanent = True


class LeaseError(ProvisionError):
    """Something is wrong with a lease, or with the journal of leases."""

    permanent = True


class JournalError(LeaseError):
    """The lease journal, or a file of it, cannot be read or written. What it would have told about
    was not asked for.
    """


class NoLease(LeaseError):
    """There is no lease of that name, or its file is none of ours."""


class LeaseInUse(LeaseError):
    """Somebody else holds the lease: a process that is alive."""


class LeaseTaken(LeaseError):
    """What only one may have at a time, another lease has: `other`."""

    def __init__(self, other: "Lease") -> None:
        super().__init__(f"{other.key} is taken: {other.held_by()}")
        self.other = other


class PodmanFailed(ProvisionError):
    """The podman of this machine did not do what it was told; its own last words are in the message.

    Permanent where there is no podman, no such image, or one that can not be prepared.
    """

    def __init__(self, words: str, *, permanent: bool = False) -> None:
        super().__init__(words)
        self.permanent = permanent
