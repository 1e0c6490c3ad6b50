"""What a machine says about itself. All of it is best effort: what cannot be learned is None."""

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from atex_provision.connection.base import Connection

FACTS_TIME = 30.0  # seconds

# os-release(5) says where it is; the prefix keeps our lines apart from its, and from what a login
# may print.
_QUESTIONS = """\
echo "atex-arch=$(uname -m)"
echo "atex-kernel=$(uname -r)"
echo "atex-cores=$(getconf _NPROCESSORS_ONLN)"
sed -n 's/^MemTotal: *\\([0-9]*\\) kB$/atex-memory=\\1/p' /proc/meminfo
cat /etc/os-release || cat /usr/lib/os-release
"""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a machine."""

    distro: str | None = None
    """As fmf contexts write it: fedora-42, rhel-9.6, centos-stream-10, debian-12."""
    arch: str | None = None
    """As `uname -m` says: x86_64, aarch64."""
    kernel: str | None = None
    """As `uname -r` says."""
    cores: int | None = None
    memory: int | None = None
    """In bytes."""


def read_facts(connection: Connection) -> Facts:
    """Asks the machine.

    Raises ConnectionLost, and TimeoutError when it does not answer for half a minute.
    """
    answer = connection.run(f"sh -c {shlex.quote(_QUESTIONS)}", timeout=FACTS_TIME)
    said = _assignments(answer.stdout.decode(errors="replace").splitlines())
    memory = _number(said.get("atex-memory"))
    return Facts(
        distro=distro(said),
        arch=said.get("atex-arch") or None,
        kernel=said.get("atex-kernel") or None,
        cores=_number(said.get("atex-cores")),
        memory=None if memory is None else memory * 1024,
    )


def distro(os_release: Mapping[str, str]) -> str | None:
    """The distribution as fmf contexts write it, from the fields of os-release."""
    name = os_release.get("ID")
    if not name:
        return None
    if name == "centos" and "Stream" in os_release.get("NAME", ""):
        name = "centos-stream"
    version = os_release.get("VERSION_ID")
    return f"{name}-{version}" if version else name


def local_context() -> dict[str, tuple[str, ...]]:
    """The fmf context of this very machine: distro and arch, as far as they are known."""
    context: dict[str, tuple[str, ...]] = {"arch": (os.uname().machine,)}
    for path in (Path("/etc/os-release"), Path("/usr/lib/os-release")):
        try:
            found = distro(_assignments(path.read_text(errors="replace").splitlines()))
        except OSError:
            continue
        return {"distro": (found,), **context} if found else context
    return context


def _assignments(lines: Iterable[str]) -> dict[str, str]:
    """NAME=VALUE, with the quoting of a shell."""
    found = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if equals and " " not in name:
            try:
                words = shlex.split(value)
            except ValueError:  # some other line with an open quote
                continue
            found[name] = words[0] if words else ""
    return found


def _number(text: str | None) -> int | None:
    """A number that a machine names, where it is one; no machine has more than 18 digits of anything."""
    believable = text is not None and len(text) <= 18 and text.isascii() and text.isdigit()
    return int(text) if text is not None and believable else None
