"""Whether a server is the one that it should be."""

import paramiko

from atex_provision.errors import CannotConnect, HostKeyChanged, HostKeyUnknown
from atex_provision.ssh import known_hosts
from atex_provision.ssh.config import Target
from atex_provision.ssh.known_hosts import KnownKey


def known_keys(target: Target) -> list[KnownKey]:
    """All that is known about the keys of the target. Raises CannotConnect."""
    trust = target.trust
    files = trust.files if trust.policy == "forget" else (*trust.files, known_hosts.own_file())
    try:
        return known_hosts.known_keys(trust.name, files)
    except (OSError, ValueError) as error:  # ValueError: no file can be called like this
        raise CannotConnect(f"{target}: cannot look for its host key: {error}") from error


def prefer_known(algorithms: tuple[str, ...], known: list[KnownKey]) -> tuple[str, ...]:
    """The algorithms for the host key in the order in which we want them.

    First those of a key that is known: then a server has no excuse to show another one.
    """
    kinds = {line.kind for line in known}
    return tuple(sorted(algorithms, key=lambda algorithm: _key_kind(algorithm) not in kinds))


def check_host_key(target: Target, key: paramiko.PKey, known: list[KnownKey]) -> None:
    """Compares the key with those that are known; if there are none, does what the target's policy says.

    Raises HostKeyChanged, HostKeyUnknown, CannotConnect.
    """
    blob = key.asbytes()
    for line in known:
        if line.revoked and line.key == blob:
            raise HostKeyChanged(f"{target}: its host key is revoked by {line.path}:{line.line}")
    valid = [line for line in known if not line.revoked] or _meet(target, key)
    if valid and all(line.key != blob for line in valid):
        line = valid[0]
        raise HostKeyChanged(
            f"{target}: its host key is not the one of {line.path}:{line.line} any more, but"
            f" {key.get_name()} {key.fingerprint}. If the machine was installed anew, remove the"
            f" old key: ssh-keygen -f '{line.path}' -R '{target.trust.name}'."
            " If not, somebody may be in between."
        )


def _meet(target: Target, key: paramiko.PKey) -> list[KnownKey]:
    """Meets a host of which nothing is known. Returns what is known by now if somebody was faster."""
    name = target.trust.name
    match target.trust.policy:
        case "forget":
            return []
        case "strict":
            path = (*target.trust.files, known_hosts.own_file())[0]
            line = f"{name} {key.get_name()} {key.get_base64()}"
            raise HostKeyUnknown(
                f"{target}: its host key is not known, and only known ones are accepted here. If"
                f" {key.get_name()} {key.fingerprint} is its key, add it: echo '{line}' >>'{path}'"
            )
    own = known_hosts.own_file()
    try:
        return known_hosts.remember(name, key.get_name(), key.asbytes(), own)
    except OSError as error:
        raise CannotConnect(f"{target}: cannot keep its host key in {own}: {error}") from error


def _key_kind(algorithm: str) -> str:
    """The kind of key that an algorithm signs with, as known_hosts has it."""
    return "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm
