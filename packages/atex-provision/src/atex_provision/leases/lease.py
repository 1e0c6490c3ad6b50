"""A lease: one machine, asked for by one process, until an end."""

import hashlib
import re
import secrets
import time

import msgspec

from atex_provision.leases.holder import Holder
from atex_provision.machine import Platform

LONGEST_LABEL = 60  # characters of a lease's name
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*-[0-9a-f]{6}")


class SessionNote(msgspec.Struct, frozen=True):
    """What it takes to end the session of an agent on the machine."""

    id: str
    become: bool = False
    """Whether the agent runs as root although the login does not."""
    python: str | None = None
    """The python3 that it was started with; None: to be found."""
    work: str | None = None
    """The folder that it works in, where it is not the usual one."""
    holder: Holder | None = None
    """The process whose session it is: not that of the lease where the machine is borrowed."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """One lease, as it is written in the journal. It says nothing that is secret."""

    name: str
    """Unique here, and what a user types: `podman-7f3a91`."""
    backend: str
    """The class of its provisioner, "module:Class", by which anybody can give it back."""
    resource: dict[str, str] = {}
    """Enough to find the machine and to free it, also if the answer to the request was lost."""
    key: str = ""
    """What only one lease may have at a time; "": nothing."""
    holder: Holder
    created: float
    """Seconds since the epoch."""
    ends: float
    """Seconds since the epoch."""
    purpose: str = ""
    """For humans, what it is used for: "atex run, results in DIR"."""
    machine: str = ""
    """The name of the machine, once there is one."""
    login: str = ""
    """The command by which a human gets in, once there is one."""
    sessions: tuple[SessionNote, ...] = ()
    """The sessions of agents that were begun and not ended."""
    kept: bool = False
    """Whether its process left the machine reserved on purpose, until the lease ends."""
    prepared: bool = False
    """Whether a plan was prepared on the machine."""
    platform: Platform | None = None
    """What its holder took the machine for, if it said so."""

    @property
    def ended(self) -> bool:
        """Whether its end has passed."""
        return time.time() >= self.ends

    @property
    def held(self) -> bool:
        """Whether its process is alive, as far as that can be known from here (`Holder.visible`)."""
        return self._lives(self.holder)

    @property
    def in_use(self) -> bool:
        """Whether it is held, or was kept and has not ended. What is not is there to be given back."""
        return not self.ended if self.kept else self.held

    @property
    def used_by(self) -> Holder | None:
        """A living process with a session on the machine: its holder, or one that borrowed it."""
        holders = (note.holder for note in self.sessions if note.holder is not None)
        return next(filter(self._lives, holders), None)

    def _lives(self, holder: Holder) -> bool:
        return holder.alive() and (holder.visible() or not self.ended)

    def held_by(self) -> str:
        """For messages: by whom, and what for."""
        purpose = f" ({self.purpose})" if self.purpose else ""
        if self.kept:
            return f"lease {self.name} was kept{purpose}"
        if self.held:
            return f"{self.holder} holds lease {self.name}{purpose}"
        return f"lease {self.name} was left behind by {self.holder}{purpose}"


def new_name(label: str) -> str:
    """A name for a lease. The same label always has the same beginning (`beginning()`)."""
    return f"{beginning(label)}-{secrets.token_hex(3)}"


def beginning(label: str) -> str:
    """What the names of leases with this label begin with."""
    words = re.sub(r"[^A-Za-z0-9.]+", "-", label).strip("-.") or "lease"
    if len(words) <= LONGEST_LABEL:
        return words
    return f"{words[: LONGEST_LABEL - 9]}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"
