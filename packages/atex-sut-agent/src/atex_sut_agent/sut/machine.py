"""What the agent tells about the machine it runs on, and the environment a test gets there."""

import functools
import os
import pwd
import re

from .kernel import HAS_PRCTL
from .processes import state_and_start

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from typing import Any

_KEPT = ("LANG", "LANGUAGE", "TZ", "XDG_RUNTIME_DIR")
_ESCAPED = re.compile(rb"\\([0-7]{3})")  # blanks in /proc/self/mountinfo
_STANDARD_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


@functools.lru_cache(maxsize=None)
def boot() -> "tuple[str, int]":
    """Return what tells this boot from others: (boot id, PID 1's start). In a container the first is the host's."""
    boot_id = _first_word("/proc/sys/kernel/random/boot_id", "")
    try:
        return boot_id, state_and_start(1)[1]
    except OSError:  # /proc may hide others' processes
        return boot_id, 0


def facts() -> "dict[str, Any]":
    """Return the machine's part of the hello message."""
    boot_id, init_started = boot()
    return {
        "user": _user().pw_name,
        "boot_id": boot_id,
        "uptime": float(_first_word("/proc/uptime", "0")),
        "init_started": init_started,
        "missing": [] if HAS_PRCTL else ["ctypes"],
    }


def base_environment() -> "dict[str, str]":
    """Return what a test finds in its environment before anybody's wishes: a login's, but only what is listed.

    Above all no SSH_*: with SSH_CLIENT set, Debian's bash takes itself for a login over the network and reads
    ~/.bashrc, for each script.
    """
    user = _user()
    login = {_decode(name): _decode(value) for name, value in os.environb.items()}
    path = login.get("PATH", "").split(":")
    path += [folder for folder in _STANDARD_PATH if folder not in path]
    environment = {
        "PATH": ":".join(folder for folder in path if folder),
        "HOME": login.get("HOME") or user.pw_dir,
        "USER": user.pw_name,
        "LOGNAME": user.pw_name,
        "SHELL": user.pw_shell or "/bin/sh",
    }
    kept = {name for name in login if name in _KEPT or name.startswith("LC_")}
    environment.update({name: login[name] for name in kept})
    return environment


def mounts_in(folder: str) -> "list[str]":
    """Return where on or below `folder` something is mounted. Raises OSError."""
    path = os.fsencode(os.path.realpath(folder))
    with open("/proc/self/mountinfo", "rb") as file:
        points = [_ESCAPED.sub(_unescape, line.split(b" ")[4]) for line in file]
    return [_decode(point) for point in points if point == path or point.startswith(path + b"/")]


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _unescape(found: "re.Match[bytes]") -> bytes:
    return bytes((int(found.group(1), 8),))


def _user() -> pwd.struct_passwd:
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid)
    except KeyError:  # a container's user without an entry
        return pwd.struct_passwd((str(uid), "", uid, os.getgid(), "", "/", "/bin/sh"))


def _first_word(path: str, default: str) -> str:
    try:
        with open(path) as file:
            return (file.read().split() or [default])[0]
    except OSError:
        return default
