"""Which host keys are known: the user's known_hosts, which is only read, and our own, which grows.

The format is that of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". An unknown host is accepted once and
remembered; from then on its key is what it is. Several threads and processes may meet the same new
host at once: the line is appended under flock, after a look whether somebody else was faster.
"""

import base64
import binascii
import fcntl
import fnmatch
import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from atex_provision.state import state_folder

GLOBAL_FILES = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))
"""Everybody's, as ssh reads them if its config names no others."""


class KnownKey(msgspec.Struct, frozen=True):
    """One line about one host."""

    kind: str
    """ssh-ed25519, ssh-rsa, ..."""
    key: bytes
    revoked: bool
    path: Path
    line: int


def own_file() -> Path:
    """ATEX's own known_hosts."""
    return state_folder() / "known_hosts"


def user_files() -> tuple[Path, ...]:
    """The user's, as ssh reads them if its config names no others."""
    return (Path.home() / ".ssh/known_hosts", Path.home() / ".ssh/known_hosts2")


def host_id(address: str, port: int) -> str:
    """What a host is called in known_hosts."""
    return address.lower() if port == 22 else f"[{address.lower()}]:{port}"


def known_keys(host: str, paths: Iterable[Path]) -> list[KnownKey]:
    """The keys known for `host`. A file that is not there knows none; raises OSError if one cannot
    be read.
    """
    found: list[KnownKey] = []
    for path in paths:
        try:
            text = path.read_text(errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            continue
        found += _matching(host, text, path)
    return found


def remember(host: str, kind: str, key: bytes, path: Path) -> list[KnownKey]:
    """Appends the key to `path`, unless something is known of `host` there by now: then that is
    returned.

    Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with open(descriptor, "r+", errors="replace") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        if known := list(_matching(host, text, path)):
            return known
        start = "\n" if text and not text.endswith("\n") else ""
        os.write(descriptor, f"{start}{host} {kind} {base64.b64encode(key).decode()}\n".encode())
    return []


def _matching(host: str, text: str, path: Path) -> Iterator[KnownKey]:
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        # Certificate authorities are not supported: their lines say nothing about a plain key.
        if len(fields) < 3 or fields[0].startswith("#") or marker not in ("", "@revoked"):
            continue
        try:
            key = base64.b64decode(fields[2], validate=True)
        except binascii.Error:
            continue
        if _names(fields[0], host):
            yield KnownKey(fields[1], key, marker == "@revoked", path, number)


def _names(patterns: str, host: str) -> bool:
    """Whether a line's first field means `host`. A negated pattern that matches has the last
    word.
    """
    if patterns.startswith("|1|"):
        return _is_hash_of(host, patterns)
    found = False
    for pattern in patterns.lower().split(","):
        # In known_hosts only * and ? are special; [ belongs to [host]:port.
        glob = pattern.removeprefix("!").replace("[", "[[]")
        if fnmatch.fnmatchcase(host, glob):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _is_hash_of(host: str, field: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in field.split("|")[2:4])
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(salt, host.encode(), hashlib.sha1), digest)
