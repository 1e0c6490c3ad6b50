"""The command by which a human gets in where we do."""

import contextlib
import shlex
from collections.abc import Iterator

from atex_provision.errors import BadConfiguration
from atex_provision.host import Host
from atex_provision.ssh.config import find_target
from atex_provision.ssh.known_hosts import known_keys, own_file


def login_command(host: Host) -> str:
    """An `ssh` command, for a shell; what ~/.ssh/config says is left to it. Total."""
    words = ["ssh"]
    if host.port is not None:
        words += ["-p", str(host.port)]
    if host.identity is not None:
        words += ["-i", host.identity]
    if host.jump is not None:
        words += ["-J", host.jump]
    # Without a config and files that can be read, ssh will say so.
    with contextlib.suppress(BadConfiguration, OSError):
        words += _known_hosts(host)
    return shlex.join([*words, f"{host.user}@{host.address}" if host.user else host.address])


def _known_hosts(host: Host) -> Iterator[str]:
    """The option for a host that only our own file knows."""
    trust = find_target(host).trust
    if not known_keys(trust.name, trust.files) and known_keys(trust.name, [own_file()]):
        yield from ("-o", f"UserKnownHostsFile={own_file()}")
