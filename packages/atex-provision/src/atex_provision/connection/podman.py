"""Containers of the podman of this machine.

Guarantees: those of `process`. A channel is a `podman exec`; whatever ends that one before the
command has ended there (podman's own failures, the end of the container) is ConnectionLost, not an
exit code. close() ends the `podman exec`: the command reads end of file, and is not killed.
"""

import contextlib
import shlex
import time

from atex_provision.connection.process import ProcessChannel, ProcessConnection, deadline_after
from atex_provision.errors import CannotConnect, ConnectionLost, PodmanFailed
from atex_provision.podman import container
from atex_provision.podman.command import (
    COMMAND_TIME,
    Interruptible,
    PodmanCommand,
    last_words,
    podman_path,
)

# Before the command says a word it is said for it that it has begun: podman's own failures have
# exit codes and words that a command may have as well.
# And while systemd-shutdown waits for all to end whom it told to, nobody comes in who was not told:
# it would wait ten seconds for him.
BEGAN = b"atex: the command begins here\n"
_LOGIN = """\
read -r first </proc/1/comm
case $first in systemd-shutdow*) echo "the container is going down" >&2; exit 125 ;; esac
echo "$0" >&2; cd ~ 2>/dev/null; exec /bin/sh -c "$1"
"""

SUSPICIOUS = 125  # the least exit code that may come from podman, or from the container's end
EXIT_TIME = 5.0  # seconds for a `podman exec` to end when it has nothing more to say

BOOT_TIME = 60.0  # seconds for systemd to start what it starts
_BOOTED = """\
i=0
while [ $i -lt 500 ]; do
    read -r first </proc/1/comm
    case $first in systemd-shutdow*) echo "the container is going down" >&2; exit 1 ;; esac
    case "$(systemctl is-system-running 2>/dev/null)" in
        running | degraded | maintenance) exit 0 ;;
    esac
    i=$((i + 1))
    sleep 0.1
done
exit 1
"""


class PodmanConnection(ProcessConnection):
    """Runs commands in the container `name`, in the home of its user (root, if we have made it).

    `_lock` guards `_started_at`, `_connects` and `_wanted`, too.
    """

    def __init__(self, name: str, *, systemd: bool = False, ends: float | None = None) -> None:
        """`systemd`: it is connected when systemd has booted. `ends`: seconds since the epoch, after
        which a stopped container is not started any more.
        """
        super().__init__()
        self.name = name
        self._systemd = systemd
        self._ends = ends
        self._by = Interruptible(self._check_wanted)
        self._started_at = ""
        self._connects = 0  # how often it was connected
        self._wanted = False  # unless close() came after connect() was called

    @property
    def login(self) -> str:
        return f"podman exec -it {shlex.quote(self.name)} /bin/sh"

    def connect(self) -> None:
        """Starts the container again if it has stopped, as a machine that reboots comes back: its
        files are there, its processes are not.
        """
        with self._lock:
            if self._connected:
                return
            self._wanted = True
        try:
            state = self._look()
            if not state.running:
                self._start_again(state)
                state = self._look()
            if self._systemd:
                self._await_systemd()
        except (PodmanFailed, ConnectionLost) as error:
            raise CannotConnect(f"{self.name}: {error}") from error
        with self._lock:
            self._started_at = state.started_at
            self._connects += 1
            self._connected = self._wanted
        self._check_wanted()

    def close(self) -> None:
        with self._lock:
            self._wanted = False
        self._by.interrupt()
        super().close()

    def _check_wanted(self) -> None:
        with self._lock:
            if not self._wanted:
                raise CannotConnect(f"{self.name}: closed while it was connecting")

    def _look(self) -> container.State:
        state = container.state(self.name, by=self._by)
        if state is None:
            raise _permanent(f"{self.name}: there is no such container (any more)")
        return state

    def _start_again(self, state: container.State) -> None:
        if self._ends is not None and time.time() >= self._ends:
            raise _permanent(f"{self.name}: the container's lease has ended")
        if state.status in {"stopping", "removing", "paused"}:
            raise CannotConnect(f"{self.name}: the container is {state.status}")
        self._check_wanted()
        container.start(self.name)

    def _await_systemd(self) -> None:
        booted = PodmanCommand("exec", self.name, "/bin/sh", "-c", _BOOTED)
        try:
            self._by.finish(booted, timeout=BOOT_TIME)
        except PodmanFailed as error:
            raise CannotConnect(f"{self.name}: systemd has not booted: {error}") from error

    def _start(self, command: str) -> ProcessChannel:
        with self._lock:
            started_at, number = self._started_at, self._connects
        return _ExecChannel(self, command, started_at, number)

    def _stopped_since(self, started_at: str, by: Interruptible, deadline: float | None) -> bool:
        """Whether the container does not run any more as it did, or is about to stop; no if that cannot
        be told. Raises TimeoutError after `deadline`, and what `by` raises.
        """
        rest = COMMAND_TIME if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            state = container.state(self.name, by=by, timeout=min(rest, COMMAND_TIME))
        except PodmanFailed:
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"{self.name}: podman does not say whether it runs") from None
            return False
        if state is None or not state.running or state.started_at != started_at:
            return True
        return state.going_down  # which is what ended the command

    def _lose(self, number: int, why: str) -> ConnectionLost:
        """The error of a channel that has ended before its command. connect() has to be called, unless
        somebody has done so since.
        """
        with self._lock:
            if self._connects == number:
                self._connected = False
        return ConnectionLost(f"{self.name}: {why}")


def _permanent(message: str) -> CannotConnect:
    error = CannotConnect(message)
    error.permanent = True
    return error


class _ExecChannel(ProcessChannel):
    """A command in the container. `_lock` guards `_began`, too."""

    def __init__(
        self, connection: PodmanConnection, command: str, started_at: str, number: int
    ) -> None:
        """`started_at`: which of the container's lives it is in; `number`: and which connect() of us."""
        self._connection = connection
        self._started_at = started_at
        self._number = number
        self._began = False
        self._good = False  # whether the exit code is known to be the command's
        self._looks = Interruptible(self._check_unclosed)
        words = ["/bin/sh", "-c", _LOGIN, BEGAN.decode().rstrip(), command]
        try:
            super().__init__(
                [podman_path(), "exec", "--interactive", connection.name, *words],
                name=connection.name,
                folder="/",
                on_close=connection._forget,
            )
        except (OSError, PodmanFailed) as error:
            raise ConnectionLost(f"{connection.name}: cannot run a command: {error}") from error

    def receive(self, size: int, timeout: float | None = None) -> bytes:
        deadline = deadline_after(timeout)
        data = super().receive(size, timeout)
        if not data:  # podman has ended, or is about to
            rest = EXIT_TIME if deadline is None else max(0.0, deadline - time.monotonic())
            with contextlib.suppress(TimeoutError):
                self.wait(min(rest, EXIT_TIME))
        return data

    def wait(self, timeout: float | None) -> int:
        deadline = deadline_after(timeout)
        code = super().wait(timeout)
        if not self._good and (why := self._failure(code, deadline)):
            raise self._connection._lose(self._number, why)
        self._good = True
        return code

    def close(self) -> None:
        super().close()
        self._looks.interrupt()

    def _check_unclosed(self) -> None:
        with self._lock:
            self._check_open()

    def _failure(self, code: int, deadline: float | None) -> str:
        """Why podman has ended before the command; "" if it has not."""
        with self._lock:
            began, said, killed = self._began, bytes(self._tail), self._process.returncode < 0
        # A podman that could still write to a command which has ended loses what that one has said.
        if not began and code >= SUSPICIOUS:
            words = last_words(said) or f"exit code {code}"
            return f"podman did not run the command: {words}"
        if killed:
            return "the `podman exec` of a command was killed"
        if code >= SUSPICIOUS and self._has_stopped(deadline):
            return "the container has stopped"
        return ""

    def _has_stopped(self, deadline: float | None) -> bool:
        try:
            return self._connection._stopped_since(self._started_at, self._looks, deadline)
        except ConnectionLost:
            raise ConnectionLost(f"{self._name}: the channel was closed") from None

    def _keep_stderr(self, chunk: bytes) -> None:
        super()._keep_stderr(chunk)
        if not self._began:
            _, began, rest = self._tail.partition(BEGAN)
            if began:
                self._began, self._tail = True, rest
