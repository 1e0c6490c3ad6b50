"""The keys to log in with, in the order in which they are tried.

A key that the caller names is the only one. Else: the files that ~/.ssh/config lists, the keys of
the ssh agent, and if the config lists none, the files that ssh tries by itself. A server takes only
a few tries (MaxAuthTries, 6), so nothing is offered twice.
"""

import base64
import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.pkey import UnknownKeyType

from atex_provision.errors import BadConfiguration
from atex_provision.ssh.agent import SshAgent
from atex_provision.ssh.config import Target

DEFAULT_FILES = ("id_ed25519", "id_ecdsa", "id_rsa")

_UNUSABLE = (
    OSError,
    ValueError,
    paramiko.SSHException,
    UnsupportedAlgorithm,
    UnknownKeyType,
)


class Identity(msgspec.Struct, frozen=True):
    """A private key, or something that signs with one."""

    name: str
    """For messages: where it comes from."""
    key: paramiko.PKey


class Identities:
    """The identities for one login. They may need the ssh agent until close() is called."""

    def __init__(self, target: Target) -> None:
        """Reads them, also from the agent. Raises BadConfiguration."""
        self._target = target
        self._agent: SshAgent | None = None
        self._agent_failed = False
        self.unusable: list[str] = []
        """Which files were passed over, and why; for the message of a login that fails."""
        try:
            self.offers = list(self._unique())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the connection to the agent, and who waits for it. Total; may be repeated."""
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
        yield from self._from_files(self._target.identity_files)
        if not self._target.identities_only:
            yield from self._from_agent()
        if not self._target.identity_files:
            folder = Path.home() / ".ssh"
            yield from self._from_files(folder / name for name in DEFAULT_FILES)

    def _named(self, path: Path) -> Identity:
        """The key that the caller named. Raises BadConfiguration: no other one will be tried."""
        for identity in self._from_files([path]):
            return identity
        raise BadConfiguration(f"cannot log in with {', '.join(self.unusable)}")

    def _from_files(self, paths: Iterable[Path]) -> Iterator[Identity]:
        for path in paths:
            identity = self._from_file(path)
            if identity is not None:
                yield identity

    def _from_file(self, path: Path) -> Identity | None:
        """The key in this file; for an encrypted one, its twin in the agent."""
        try:
            return Identity(str(path), paramiko.PKey.from_path(path))
        except FileNotFoundError:
            if path.name not in DEFAULT_FILES:
                self.unusable.append(f"{path} (there is no such file)")
        except (TypeError, paramiko.PasswordRequiredException):  # cryptography says TypeError
            twin = self._agent_twin(path.with_name(f"{path.name}.pub"))
            if twin is not None:
                return twin
            self.unusable.append(f"{path} (encrypted; let ssh-add load it into the ssh agent)")
        except _UNUSABLE as error:
            self.unusable.append(f"{path} ({error})")
        return None

    def _agent_twin(self, public: Path) -> Identity | None:
        """The agent's key with this public half."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            blob = base64.b64decode(public.read_text().split()[1])
            for identity in self._from_agent():
                if identity.key.asbytes() == blob:
                    return identity
        return None

    def _from_agent(self) -> Iterator[Identity]:
        if self._agent is None and not self._agent_failed:
            try:
                self._agent = SshAgent()
            except (OSError, paramiko.SSHException) as error:
                self._agent_failed = True  # it is not asked again
                self.unusable.append(f"the ssh agent ({error})")
        if self._agent is None:
            return
        for key in self._agent.get_keys():
            yield Identity(f"{key.comment or key.get_name()} of the ssh agent", key)
