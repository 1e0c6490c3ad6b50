"""What a provisioner hands out."""

import msgspec

from atex_provision.connection.base import Connection
from atex_provision.facts import Facts


class Platform(msgspec.Struct, frozen=True):
    """A kind of machine: its name, and the fmf context that it stands for."""

    name: str
    context: dict[str, tuple[str, ...]] = {}


class Machine(msgspec.Struct, kw_only=True, eq=False):
    """A machine under test that is ours until it is released.

    Not for several threads at once, its connection apart.
    """

    name: str
    """For messages, records and file names: "local", "root@host:22". Machines that are not the same
    have different ones, so that one that failed is known when it comes again.
    """
    connection: Connection
    """Connected when the machine is handed out."""
    facts: Facts = Facts()
    lease: str = ""
    """The name of its lease; "" where there is none."""
    lease_end: float | None = None
    """When its lease ends, in seconds since the epoch; None: never by itself."""
    prepared: bool = False
    """Whether a plan was prepared on it before, which need not be done again."""
    platform: Platform | None = None
    """What it was reserved for, where whoever uses it says so."""
    marks: dict[str, str] = {}
    """What hooks and tests wrote on it."""
    python: str | None = None
    """The python3 to use there; None: to be found."""
    slot: str = "0"
    """Which of its slots is ours. A machine has one, unless somebody decided that several tests at a
    time do not disturb each other there.
    """
