"""An image for real containers, and what podman needs to be told on this box.

The image is imported once per box from `rootfs.debian()` and kept in podman's storage: a Debian with systemd and
python3, whose first process may be anything. Each process of tests knows it by a name of its own, which tells which
containers are its own: all test runs of a box share one storage.
"""

import contextlib
import fcntl
import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO

from tests.machines import rootfs
from tests.machines.keeper import MachineError

LIMIT = 120.0  # seconds for any single command
NAMES = "localhost/atex-tests-of-"  # PID-START of the process follows
_VANISHED = re.compile("container not known|no such container")  # while podman made a list of all
LOCK = rootfs.CACHE / "podman.lock"

# For a box whose limits may not be raised and whose control groups are of both kinds.
CONFIG = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


def podman_missing() -> str | None:
    """Why there can be no containers on this box, in podman's words where it tried; None if there can be."""
    for tool in ("podman", "debootstrap"):
        if shutil.which(tool) is None:
            return f"no {tool} (Debian: apt-get install {tool})"
    if os.geteuid() != 0:
        return "containers of the tests need root"
    try:
        podman_settings()
    except MachineError as error:
        return str(error)
    return None


@functools.cache
def podman_settings() -> dict[str, str]:
    """The environment variables with which podman runs containers here: none, or CONTAINERS_CONF.

    Raises MachineError, with podman's words, where it does not run them either way.
    """
    image = _base_image()
    if not _first_words(image, {}):
        return {}
    config = rootfs.CACHE / "containers.conf"
    unfinished = config.with_suffix(f".{os.getpid()}")
    unfinished.write_text(CONFIG)
    unfinished.rename(config)
    settings = {"CONTAINERS_CONF": str(config)}
    if words := _first_words(image, settings):
        raise MachineError(f"podman runs no container here: {words}")
    return settings


@contextlib.contextmanager
def podman_images() -> Iterator[str]:
    """The image, by a name that is this process's own.

    Its containers are removed at the end, and at the beginning those of processes that did not come to theirs.
    """
    image = f"{NAMES}{os.getpid()}-{_started(os.getpid())}:latest"
    with _locked():
        for left in _podman("images", "--format={{.Repository}}:{{.Tag}}").split():
            if left.startswith(NAMES) and not _is_alive(left):
                _remove(left)
    _podman("tag", _base_image(), image)
    try:
        yield image
    finally:
        _remove(image)


def containers_of(image: str) -> list[str]:
    """The names of all containers that were made from the image by this name of it."""
    lines = _list("--format={{.Names}} {{.Image}}")
    return [name for name, _, of in (line.partition(" ") for line in lines) if of == image]


def all_containers() -> list[str]:
    """The names of all containers, also of those that podman has begun to make and nothing more."""
    return _list("--external", "--format={{.Names}}")


def remove_container(name: str) -> None:
    """Removes the container, whatever its state, if it is there."""
    _podman("rm", "--force", "--ignore", "--time=0", name)


def _remove(image: str) -> None:
    for name in containers_of(image):
        remove_container(name)
    with contextlib.suppress(MachineError):  # another test run has done it
        _podman("untag", image, image)


def _is_alive(image: str) -> bool:
    pid, _, started = image.removeprefix(NAMES).partition(":")[0].partition("-")
    return _started(int(pid)) == started


def _started(pid: int) -> str:
    """When the process started, in the kernel's own count; "" if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _base_image() -> str:
    root = rootfs.debian()
    image = f"localhost/atex-tests:{root.name}"
    with _locked():  # two test runs may share a box
        if _ended(["image", "exists", image]).returncode != 0:
            with subprocess.Popen(
                ["tar", "-C", root, "-cf", "-", "."], stdout=subprocess.PIPE
            ) as tar:
                _podman("import", "--quiet", "-", image, stdin=tar.stdout)
    return image


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _first_words(image: str, settings: dict[str, str]) -> str:
    """What podman has to say when it is to run a container with these settings; "" where it runs."""
    command = ["run", "--rm", "--pull=never", "--network=none", image, "true"]
    ended = _ended(command, environment=settings)
    return (ended.stderr.strip() or "no word") if ended.returncode else ""


def _podman(*arguments: str, stdin: IO[bytes] | int | None = subprocess.DEVNULL) -> str:
    return _succeeded(arguments, _ended(arguments, stdin))


def _list(*options: str) -> list[str]:
    command = ["ps", "--all", *options]
    ended = _ended(command)
    while ended.returncode and _VANISHED.search(ended.stderr):
        ended = _ended(command)
    return _succeeded(command, ended).splitlines()


def _succeeded(arguments: Sequence[str], ended: subprocess.CompletedProcess[str]) -> str:
    if ended.returncode:
        raise MachineError(f"podman {' '.join(arguments)}: {ended.stderr.strip()}")
    return ended.stdout


def _ended(
    arguments: Sequence[str],
    stdin: IO[bytes] | int | None = subprocess.DEVNULL,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["podman", *arguments],
        stdin=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=LIMIT,
        check=False,
    )
