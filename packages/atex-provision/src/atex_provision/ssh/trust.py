"""Whether a server is the one that it should be."""

import paramiko

from atex_provision.errors import CannotConnect, HostKeyChanged
from atex_provision.ssh import known_hosts
from atex_provision.ssh.config import Target
from atex_provision.ssh.known_hosts import KnownKey


def known_keys(target: Target) -> list[KnownKey]:
    """All that is known about the keys of the target. Raises CannotConnect."""
    try:
        return known_hosts.known_keys(_host_id(target), known_hosts.read_files())
    except OSError as error:
        raise CannotConnect(f"{target}: cannot look for its host key: {error}") from error


def prefer_known(algorithms: tuple[str, ...], known: list[KnownKey]) -> tuple[str, ...]:
    """The algorithms for the host key in the order in which we want them.

    First those of a key that is known: then a server has no excuse to show another one.
    """
    kinds = {line.kind for line in known}
    return tuple(sorted(algorithms, key=lambda algorithm: _key_kind(algorithm) not in kinds))


def check_host_key(target: Target, key: paramiko.PKey, known: list[KnownKey]) -> None:
    """Accepts the key, once and for all if nothing was known. Raises HostKeyChanged,
    CannotConnect.
    """
    blob = key.asbytes()
    for line in known:
        if line.revoked and line.key == blob:
            raise HostKeyChanged(f"{target}: its host key is revoked by {line.path}:{line.line}")
    valid = [line for line in known if not line.revoked] or _remember(target, key)
    if valid and all(line.key != blob for line in valid):
        line = valid[0]
        raise HostKeyChanged(
            f"{target}: its host key is not the one of {line.path}:{line.line} any more, but"
            f" {key.get_name()} {key.fingerprint}. If the machine was installed anew, remove the"
            f" old key: ssh-keygen -f '{line.path}' -R '{_host_id(target)}'."
            " If not, somebody may be in between."
        )


def _remember(target: Target, key: paramiko.PKey) -> list[KnownKey]:
    own = known_hosts.own_file()
    try:
        return known_hosts.remember(_host_id(target), key.get_name(), key.asbytes(), own)
    except OSError as error:
        raise CannotConnect(f"{target}: cannot keep its host key in {own}: {error}") from error


def _host_id(target: Target) -> str:
    return known_hosts.host_id(target.address, target.port)


def _key_kind(algorithm: str) -> str:
    """The kind of key that an algorithm signs with, as known_hosts has it."""
    return "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm
