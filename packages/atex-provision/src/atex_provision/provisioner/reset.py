"""A command on this machine that brings a host into the state that tests expect.

Guarantee: when `Reset.run()` has raised something, or this process has died of whatever, the
command's whole process group is killed. What it started in a session of its own (a virtual machine,
say) is its own business.

`Reset._lock` guards `_process` and `_cancelled`: no signal goes to a process that has been reaped.
"""

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from typing import IO, cast

from atex_provision.errors import Aborted, ProvisionError

KILL_TIME = 5.0  # seconds; SIGKILL takes this long only on a machine that is in deep trouble
TAIL = 4096  # bytes of output that are kept
LINES = 5  # of them, for a message

# Nobody but us holds the other end of stdin: its end without a word means that we are gone. The
# shell itself stays, so that whoever leads the group is a process that we may kill.
_SCRIPT = """\
exec 3<&0 </dev/null
(read -r line || kill -KILL 0) <&3 3<&- >/dev/null 2>&1 &
exec 3<&-
/bin/sh -c "$1"
exit $?
"""


class Reset:
    """One run of a command, by a shell, in the current folder."""

    def __init__(self, command: str, environment: Mapping[str, str]) -> None:
        """`environment`: what is added to that of this process."""
        self._command = command
        self._environment = environment
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = False

    def run(self, timeout: float) -> None:
        """Runs it to its end, for which it has `timeout` seconds. To be called once.

        Raises ProvisionError with the last that it said if it fails or takes too long, or if it
        cannot be started or watched; Aborted after cancel().
        """
        process = self._start()
        said, done = bytearray(), False
        try:
            done = _await_end(process, said, time.monotonic() + timeout)
        finally:
            self._finish(process, kill=not done)
        if self._is_cancelled():
            raise Aborted("the reservation was aborted during the reset")
        if not done:
            raise ProvisionError(
                f"the reset was not done after {timeout:g} s; {what_it_said(said)}"
            )
        if process.returncode:
            raise ProvisionError(
                f"the reset failed with exit code {process.returncode}; {what_it_said(said)}"
            )

    def cancel(self) -> None:
        """Kills it, and run() ends at once. Any thread, at any time, any number of times."""
        with self._lock:
            self._cancelled = True
            self._kill()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._cancelled:
                raise Aborted("the reservation was aborted before the reset")
            try:
                self._process = subprocess.Popen(
                    ["/bin/sh", "-c", _SCRIPT, "sh", self._command],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    bufsize=0,
                    env={**os.environ, **self._environment},
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:  # ValueError: a NUL
                raise ProvisionError(f"the reset cannot be started: {error}") from error
            return self._process

    def _finish(self, process: subprocess.Popen[bytes], *, kill: bool) -> None:
        """Ends what has to end, and reaps it."""
        stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        with self._lock:
            if kill:
                self._kill()
            self._process = None
        with stdin, stdout, contextlib.suppress(BrokenPipeError):
            stdin.write(b"done\n")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(KILL_TIME)

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _is_cancelled(self) -> bool:
        with self._lock:
            return self._cancelled


def what_it_said(said: bytes | bytearray) -> str:
    """The end of a command's output, on one line, for a message."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    words = " / ".join(lines[-LINES:])
    return (
        "it said: " + "".join(c if c.isprintable() else "?" for c in words)
        if words
        else ("it said nothing")
    )


def _await_end(process: subprocess.Popen[bytes], said: bytearray, deadline: float) -> bool:
    """Whether the process ended in time; `said` is the end of its output. It is not reaped.

    Raises ProvisionError if it cannot be watched.
    """
    stdout = cast("IO[bytes]", process.stdout).fileno()
    os.set_blocking(stdout, False)
    try:
        end = os.pidfd_open(process.pid)
    except OSError as error:
        raise ProvisionError(f"the reset cannot be watched: pidfd_open: {error}") from error
    try:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        poll.register(stdout, select.POLLIN)
        while (rest := deadline - time.monotonic()) > 0:
            ready = {descriptor for descriptor, _ in poll.poll(rest * 1000)}
            if stdout in ready and not _read(stdout, said):
                poll.unregister(stdout)
            if end in ready:
                while _read(stdout, said):
                    pass
                return True
        return False
    finally:
        os.close(end)


def _read(descriptor: int, said: bytearray) -> bool:
    """Whether there was something to be read."""
    try:
        chunk = os.read(descriptor, TAIL)
    except BlockingIOError:
        return False
    said += chunk
    del said[:-TAIL]
    return bool(chunk)
