"""The keys to log in with, in the order in which they are tried.

A key that the caller names is the only one. Else: the files that ~/.ssh/config lists, the keys of
the ssh agent, and if the config lists none, the files that ssh tries by itself. A server takes only
a few tries (MaxAuthTries, 6), so nothing is offered twice.
"""

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.pkey import UnknownKeyType

from atex_provision.errors import BadConfiguration
from atex_provision.ssh.config import Target

DEFAULT_FILES = ("id_ed25519", "id_ecdsa", "id_rsa")


class Identity(msgspec.Struct, frozen=True):
    """A private key, or something that signs with one."""

    name: str
    """For messages: where it comes from."""
    key: paramiko.PKey


class Identities:
    """The identities for one login. A context manager, because it may hold a connection to the ssh
    agent.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._agent: paramiko.Agent | None = None
        self.unusable: list[str] = []
        """Which files were passed over, and why; for the message of a login that fails."""

    def __enter__(self) -> Iterator[Identity]:
        return self._unique()

    def __exit__(self, *_: object) -> None:
        if self._agent is not None:
            self._agent.close()

    def _unique(self) -> Iterator[Identity]:
        offered = set()
        for identity in self._all():
            public = identity.key.asbytes()
            if public not in offered:
                offered.add(public)
                yield identity

    def _all(self) -> Iterator[Identity]:
        if self._target.identity is not None:
            yield self._named(self._target.identity)
            return
        for path in self._target.identity_files:
            yield from self._from_file(path)
        if not self._target.identities_only:
            yield from self._from_agent()
        if not self._target.identity_files:
            for name in DEFAULT_FILES:
                yield from self._from_file(Path.home() / ".ssh" / name)

    def _named(self, path: Path) -> Identity:
        """The key that the caller named. Raises BadConfiguration: no other one will be tried."""
        for identity in self._from_file(path):
            return identity
        raise BadConfiguration(f"cannot log in with {', '.join(self.unusable)}")

    def _from_file(self, path: Path) -> Iterator[Identity]:
        """The key in this file; for an encrypted one, its twin in the agent."""
        try:
            yield Identity(str(path), paramiko.PKey.from_path(path))
        except FileNotFoundError:
            if path.name not in DEFAULT_FILES:
                self.unusable.append(f"{path} (there is no such file)")
        except (
            TypeError,
            paramiko.PasswordRequiredException,
        ):  # TypeError is how cryptography says it
            twin = self._agent_twin(path.with_name(f"{path.name}.pub"))
            if twin is not None:
                yield twin
            else:
                self.unusable.append(f"{path} (encrypted; let ssh-add load it into the ssh agent)")
        except (
            OSError,
            ValueError,
            paramiko.SSHException,
            UnsupportedAlgorithm,
            UnknownKeyType,
        ) as error:
            self.unusable.append(f"{path} ({error})")

    def _agent_twin(self, public: Path) -> Identity | None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            blob = base64.b64decode(public.read_text().split()[1])
            return next(
                (identity for identity in self._from_agent() if identity.key.asbytes() == blob),
                None,
            )
        return None

    def _from_agent(self) -> Iterator[Identity]:
        if self._agent is None:
            try:
                self._agent = paramiko.Agent()
            except (OSError, paramiko.SSHException) as error:
                self.unusable.append(f"the ssh agent ({error})")
                return
        for key in self._agent.get_keys():
            yield Identity(f"{key.comment or key.get_name()} of the ssh agent", key)
