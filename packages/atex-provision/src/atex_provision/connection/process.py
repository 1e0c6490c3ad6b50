"""Connections whose channels are child processes of ours: a command itself, or one that leads to it.

Guarantees: no thread, no zombie and no descriptor is left when close() has returned and no other
thread is inside a call of the channel; the last one to leave a closed channel closes the
descriptors, so that none is ever closed under somebody's poll().

The three pipes are non-blocking. Whoever waits for one of them also drains stderr, and looks at
`_wake`, an eventfd that close() sets. `ProcessChannel._lock` guards `_users`, `_closed`, `_tail`,
`_stderr_ended` and the reaping of the process (so that no signal ever goes to a pid that is free
again). Nobody waits while holding it.
"""

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, cast

from atex_provision.connection.base import CHUNK, STDERR_TAIL, Channel, Connection
from atex_provision.errors import ConnectionLost

EXIT_LOOK = (
    0.05  # seconds between looks at a process whose stderr has ended, or is held by a daemon
)
KILL_TIME = 5.0  # seconds; SIGKILL takes this long only on a machine that is in deep trouble


class ProcessConnection(Connection):
    """What such connections have in common: their channels, which end with them.

    `_lock` guards `_connected` and `_channels`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connected = False
        self._channels: set[ProcessChannel] = set()

    @abstractmethod
    def _start(self, command: str) -> "ProcessChannel":
        """Starts `command`; its channel calls `_forget` when it is closed."""

    def open(self, command: str, timeout: float | None = None) -> Channel:  # it takes no time
        with self._lock:
            self._check_connected()
        channel = self._start(command)
        try:
            with self._lock:
                self._check_connected()
                self._channels.add(channel)
        except ConnectionLost:
            channel.close()
            raise
        return channel

    def close(self) -> None:
        with self._lock:
            self._connected = False
            channels = list(self._channels)
        for channel in channels:
            channel.close()

    def _check_connected(self) -> None:
        if not self._connected:
            raise ConnectionLost(f"{self.name}: not connected")

    def _forget(self, channel: "ProcessChannel") -> None:
        with self._lock:
            self._channels.discard(channel)


class ProcessChannel(Channel):
    """A child process, in a session of its own."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        folder: str,
        on_close: Callable[["ProcessChannel"], None] = lambda channel: None,
    ) -> None:
        """`name` is whom messages are about, `folder` where the process starts.

        Raises OSError if it can not be started.
        """
        self._name = name
        self._lock = threading.Lock()
        self._users = 0
        self._closed = False
        self._tail = bytearray()
        self._stderr_ended = False
        self._on_close = on_close
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            self._process, (self._stdin, self._stdout, self._stderr) = _spawn(command, folder)
        except BaseException:
            os.close(self._wake)
            raise

    def receive(self, size: int, timeout: float | None = None) -> bytes:
        with self._in_use():
            deadline = deadline_after(timeout)
            while True:
                try:
                    data = os.read(self._stdout.fileno(), size)
                except BlockingIOError:
                    self._await(deadline, self._stdout, select.POLLIN)
                    continue
                if not data:
                    with self._lock:
                        self._check_open()  # or this is the end that close() has made
                return data

    def send(self, data: bytes, timeout: float | None = None) -> None:
        deadline = deadline_after(timeout)
        with self._in_use():
            rest = memoryview(data)
            while rest:
                try:
                    rest = rest[os.write(self._stdin.fileno(), rest) :]
                except BlockingIOError:
                    self._await(deadline, self._stdin, select.POLLOUT)
                except (BrokenPipeError, ValueError):  # it closed its end, or we have closed ours
                    raise ConnectionLost(f"{self._name}: the command reads no more input") from None

    def close_stdin(self) -> None:
        with self._in_use():
            self._stdin.close()

    def stderr_tail(self) -> bytes:
        with contextlib.suppress(ConnectionLost), self._in_use():
            self._drain_stderr()
        with self._lock:
            return bytes(self._tail)

    def wait(self, timeout: float | None) -> int:
        with self._in_use():
            deadline = deadline_after(timeout)
            pause = 0.001
            while (code := self._exit_code()) is None:
                if deadline is not None and time.monotonic() >= deadline:
                    raise TimeoutError(f"{self._name}: the command has not ended")
                with contextlib.suppress(TimeoutError):
                    self._await(time.monotonic() + pause)
                pause = min(2 * pause, EXIT_LOOK)
            self._drain_stderr()  # what is left of it fits into the pipe, and so into one read
            return code if code >= 0 else 128 - code

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.eventfd_write(self._wake, 1)
            unused = self._users == 0
            if self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_TIME)
        if unused:
            self._close_descriptors()
        self._on_close(self)

    def _check_open(self) -> None:
        """To be called with the lock."""
        if self._closed:
            raise ConnectionLost(f"{self._name}: the channel is closed")

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Keeps the descriptors open meanwhile. Raises ConnectionLost if the channel is closed."""
        with self._lock:
            self._check_open()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                last = self._closed and self._users == 0
            if last:
                self._close_descriptors()

    def _await(
        self, deadline: float | None, pipe: IO[bytes] | None = None, events: int = 0
    ) -> None:
        """Waits for `pipe` and drains stderr meanwhile. Raises TimeoutError, and ConnectionLost
        after close().
        """
        while True:
            poll = select.poll()
            poll.register(self._wake, select.POLLIN)
            if not self._stderr_ended:
                poll.register(self._stderr.fileno(), select.POLLIN)
            if pipe is not None:
                poll.register(pipe.fileno(), events)
            rest = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready = {
                descriptor for descriptor, _ in poll.poll(None if rest is None else rest * 1000)
            }
            if self._wake in ready:
                raise ConnectionLost(f"{self._name}: the channel was closed")
            if self._stderr.fileno() in ready:
                self._drain_stderr()
            if pipe is not None and pipe.fileno() in ready:
                return
            if rest == 0:
                raise TimeoutError(f"{self._name}: nothing happened in time")

    def _drain_stderr(self) -> None:
        with self._lock:
            if self._stderr_ended:
                return
            try:
                chunk = os.read(self._stderr.fileno(), CHUNK)
            except BlockingIOError:
                return
            self._stderr_ended = not chunk
            self._keep_stderr(chunk)

    def _keep_stderr(self, chunk: bytes) -> None:
        """To be called with the lock."""
        self._tail += chunk
        del self._tail[:-STDERR_TAIL]

    def _exit_code(self) -> int | None:
        with self._lock:
            code = self._process.poll()
            self._check_open()  # or this is the end that close() has made
            return code

    def _close_descriptors(self) -> None:
        for pipe in (self._stdin, self._stdout, self._stderr):
            pipe.close()
        os.close(self._wake)


def _spawn(
    command: Sequence[str], folder: str
) -> tuple[subprocess.Popen[bytes], tuple[IO[bytes], IO[bytes], IO[bytes]]]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=folder,
        start_new_session=True,
    )
    stdin, stdout, stderr = (
        cast("IO[bytes]", pipe) for pipe in (process.stdin, process.stdout, process.stderr)
    )
    for pipe in (stdin, stdout, stderr):
        os.set_blocking(pipe.fileno(), False)
    return process, (stdin, stdout, stderr)


def deadline_after(timeout: float | None) -> float | None:
    """The moment of `time.monotonic()` that is `timeout` seconds away."""
    return None if timeout is None else time.monotonic() + timeout
