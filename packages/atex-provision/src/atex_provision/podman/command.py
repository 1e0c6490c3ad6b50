"""The podman command line.

Guarantee: what brings something new about (`podman create`, `commit`, `pull`) dies with us, also when
we are killed, so that nothing comes to be after somebody has looked at what we left behind. The
kernel sends SIGKILL when the *thread* ends that started it, which is why that thread waits for it.

What works on a container that is there already is let alone (`outlive`): podman takes a lock for it,
and so whoever wants to remove the container waits for that. And it must not be killed: a podman that
is killed while it starts a container leaves processes of which no podman knows any more.
"""

import os
import re
import shutil
import threading
import time
from collections.abc import Callable

from atex_provision.connection.base import converse
from atex_provision.connection.process import ProcessChannel
from atex_provision.errors import PodmanFailed

COMMAND_TIME = 60.0  # seconds; podman takes one or two on a busy machine
WORDS = 1000  # characters of podman's last words in a message

# The shell looks whether its parent is still the one who asked: he may have died before setpriv had
# told the kernel.
_DIE_WITH_US = ["setpriv", "--pdeathsig=KILL", "/bin/sh", "-c"]
_UNLESS_ORPHAN = '[ "$PPID" = "$0" ] && exec podman "$@"'

_NO_IMAGE = (
    r"image not known|did not resolve to an alias|initializing source|manifest unknown"
    r"|unable to copy from source|requested access to the resource is denied"
)
_ADVICE = (
    (
        _NO_IMAGE,
        (
            "there is no such image on this machine, and it can not be fetched; `podman images` lists"
            " those that there are, `podman pull` fetches one"
        ),
    ),
    (
        r"newuidmap|newgidmap|subuid|subgid|user namespaces? (is|are) not enabled",
        (
            "without root, podman needs a range of user ids in /etc/subuid and /etc/subgid, and newuidmap"
            " (package uidmap or shadow-utils)"
        ),
    ),
    (
        r"container-init binary not found",
        "install catatonit, which reaps what ends in a container",
    ),
    (
        r"crun|runc|OCI runtime|OCI permission|cgroup|conmon|netavark|iptables|CNI",
        (
            "containers do not start on this machine; `podman run --rm IMAGE true` shows it, and"
            " containers.conf chooses another runtime, limits or network"
        ),
    ),
    (
        r"permission denied|operation not permitted",
        (
            "this user may not do that with podman; is it somebody else's storage, or a file that it may"
            " not read?"
        ),
    ),
)


class PodmanCommand:
    """One run of podman, started when it is made.

    Threads: one makes it and calls finish(); any may close() it, which ends finish() at once.
    """

    def __init__(self, *arguments: str, outlive: bool = False) -> None:
        """`outlive`: it runs to its end although we do not. Raises PodmanFailed if podman can not be
        started.
        """
        self._words = f"podman {arguments[0]}"
        podman_path()
        dying = [*_DIE_WITH_US, _UNLESS_ORPHAN, str(os.getpid())]
        command = [*(["podman"] if outlive else dying), *arguments]
        try:
            self._channel = ProcessChannel(command, name="podman", folder="/")
        except OSError as error:
            raise PodmanFailed(f"{self._words}: cannot start {command[0]}: {error}") from error

    def finish(self, *, timeout: float = COMMAND_TIME) -> str:
        """What podman prints, when it has come to a good end.

        Raises PodmanFailed, also after `timeout` seconds, when podman is killed, and ConnectionLost
        when somebody closes it.
        """
        with self._channel as channel:
            try:
                ended = converse(channel, "podman", b"", time.monotonic() + timeout)
            except TimeoutError:
                words = last_words(channel.stderr_tail()) or "it has said nothing"
                raise PodmanFailed(
                    f"{self._words}: not done after {timeout:g} seconds: {words}"
                ) from None
        if ended.exit_code != 0:
            words = last_words(ended.stderr) or f"exit code {ended.exit_code}"
            permanent = re.search(_NO_IMAGE, words, re.IGNORECASE) is not None
            raise PodmanFailed(f"{self._words}: {words}{_advice(words)}", permanent=permanent)
        return ended.stdout.decode(errors="replace")

    def close(self) -> None:
        """Kills podman, if it still runs. Total; may be repeated."""
        self._channel.close()


def podman(*arguments: str, timeout: float = COMMAND_TIME, outlive: bool = False) -> str:
    """Runs podman and returns what it prints. Raises PodmanFailed, also after `timeout` seconds."""
    return PodmanCommand(*arguments, outlive=outlive).finish(timeout=timeout)


class Interruptible:
    """Sees each podman to its end, unless another thread ends it. `_lock` guards `_running`."""

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        """`check` raises when nothing is to be begun any more."""
        self._check = check
        self._lock = threading.Lock()
        self._running: set[PodmanCommand] = set()

    def finish(self, command: PodmanCommand, *, timeout: float = COMMAND_TIME) -> str:
        """As `PodmanCommand.finish()`. Raises ConnectionLost when it is interrupted, and what `check`
        raises.
        """
        with self._lock:
            self._running.add(command)
        try:
            self._check()
            return command.finish(timeout=timeout)
        finally:
            command.close()
            with self._lock:
                self._running.discard(command)

    def interrupt(self) -> None:
        """Kills what runs at this moment. Total."""
        with self._lock:
            running = list(self._running)
        for command in running:
            command.close()


def podman_path() -> str:
    """Where podman is. Raises PodmanFailed if it is not installed."""
    path = shutil.which("podman")
    if path is None:
        raise PodmanFailed(
            "podman is not installed on this machine: `dnf install podman`, or"
            " `apt-get install podman` with the packages that docs/backends/podman.md lists",
            permanent=True,
        )
    return path


def last_words(stderr: bytes) -> str:
    """The last line of what podman said: its error, unless it has ended well."""
    said = stderr.decode(errors="replace").strip()
    return said.rpartition("\n")[2].removeprefix("Error: ")[:WORDS]


def _advice(words: str) -> str:
    """What to do about an error, if that is known."""
    found = (advice for pattern, advice in _ADVICE if re.search(pattern, words, re.IGNORECASE))
    advice = next(found, "")
    return f" ({advice})" if advice else ""
