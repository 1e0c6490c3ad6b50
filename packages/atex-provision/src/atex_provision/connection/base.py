"""The contract of a connection to one machine, and what can be built from that contract alone."""

import contextlib
import os
import shlex
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from atex_provision.errors import ConnectionLost, ProvisionError

RUN_OUTPUT = 16 << 20  # bytes that run() takes from a command at most: the machine is not trusted
STDERR_TAIL = 64 << 10  # bytes of stderr that a channel keeps
TRANSFER_STALL = 60.0  # seconds for a CHUNK up, or for a byte down, after which we give up
CHUNK = 256 << 10  # bytes


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended."""

    exit_code: int
    """128 + N if signal N killed it, as a shell has it."""
    stdout: bytes
    stderr: bytes
    """The last 64 KiB of it."""


class Channel(ABC):
    """The two ends of a running command: its stdin, stdout and stderr.

    Threads: one may receive() while another one sends and closes stdin; any may call the rest,
    close() above all. stderr is drained all the time, so it can never wedge stdout. When the
    connection is lost or somebody closes the channel, every call that waits ends at once with
    ConnectionLost.
    """

    @abstractmethod
    def receive(self, size: int, timeout: float | None = None) -> bytes:
        """Up to `size` bytes of stdout, as soon as there are any; b"" at its end.

        Raises TimeoutError after `timeout` seconds (None: waits without limit), ConnectionLost.
        """

    @abstractmethod
    def send(self, data: bytes, timeout: float | None = None) -> None:
        """Writes all of `data` to stdin; returns when it is on its way, not when it was read.

        Raises TimeoutError when that takes longer than `timeout` seconds (a part may have been
        written), and ConnectionLost, also if the command reads no more.
        """

    @abstractmethod
    def close_stdin(self) -> None:
        """Lets the command read end of file. Raises ConnectionLost."""

    @abstractmethod
    def stderr_tail(self) -> bytes:
        """The last 64 KiB of what arrived of stderr so far."""

    @abstractmethod
    def wait(self, timeout: float | None) -> int:
        """The command's exit code, when it has ended; 128 + N if signal N killed it.

        A command with much output does not end before somebody receives it. Raises TimeoutError
        after `timeout` seconds, ConnectionLost.
        """

    @abstractmethod
    def close(self) -> None:
        """Ends the channel; a command that still runs is killed if it is a process of ours. A
        process with a session of its own lives on in any case.

        Total; may be repeated. Calls that wait in other threads raise ConnectionLost.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def converse(channel: Channel, name: str, stdin: bytes, deadline: float) -> Completed:
    """Sees a command through to its end: writes all of `stdin`, then reads all of its output.

    `deadline` is a moment of `time.monotonic()`, `name` whom messages are about. Raises
    TimeoutError, ConnectionLost, and ProvisionError for more than 16 MiB of stdout.
    """

    def rest() -> float:
        return max(0.0, deadline - time.monotonic())

    with contextlib.suppress(ConnectionLost):  # a command need not read; a loss shows below
        channel.send(stdin, rest())
    channel.close_stdin()
    stdout = bytearray()
    while chunk := channel.receive(CHUNK, rest()):
        stdout += chunk
        if len(stdout) > RUN_OUTPUT:
            raise ProvisionError(f"{name}: a command wrote more than {RUN_OUTPUT >> 20} MiB")
    exit_code = channel.wait(rest())
    return Completed(exit_code=exit_code, stdout=bytes(stdout), stderr=channel.stderr_tail())


class Connection(ABC):
    """Reaches one machine.

    connect() is for one thread at a time. Meanwhile and afterwards any thread may open channels or
    close() the connection. As a context manager: connected inside, closed afterwards.
    """

    name: str
    """For messages: "local", "root@host:22"."""

    @property
    def login(self) -> str:
        """The command by which a human gets in; "" where there is nothing to get into."""
        return ""

    @abstractmethod
    def connect(self) -> None:
        """Connects, unless it is connected; after a loss it makes a new connection.

        Raises CannotConnect or one of its subclasses, at once if another thread calls close().
        """

    @abstractmethod
    def open(self, command: str, timeout: float | None = None) -> Channel:
        """Starts `command` in the login user's shell.

        Raises TimeoutError if it is not on its way after `timeout` seconds, and ConnectionLost, also
        if not connected, or if the machine takes longer than the connection grants it anyway.
        """

    @abstractmethod
    def close(self) -> None:
        """Closes the connection with its channels. Total; may be repeated; connect() may follow."""

    def run(self, command: str, *, stdin: bytes = b"", timeout: float = 60.0) -> Completed:
        """Runs a short command to its end and returns how it ended, whatever its exit code.

        `stdin` is written before output is read, so a large one is only for commands that read it
        first. Raises TimeoutError after `timeout` seconds, ConnectionLost, and ProvisionError for
        more than 16 MiB of stdout.
        """
        deadline = time.monotonic() + timeout
        try:
            with self.open(command, timeout) as channel:
                return converse(channel, self.name, stdin, deadline)
        except TimeoutError:
            raise TimeoutError(
                f"{self.name}: not done after {timeout:g} seconds: {command}"
            ) from None

    def upload(self, source: Path, target: str) -> None:
        """Copies a file, with its permissions, to the machine; never leaves half a `target`.

        Raises OSError for `source`, ProvisionError for `target` (with the machine's words),
        TimeoutError when less than a chunk moves in a minute, ConnectionLost.
        """
        with source.open("rb") as file:
            status = os.fstat(file.fileno())
            part = f"{target}.{os.urandom(6).hex()}"
            # The size is checked there: a lost connection looks to cat like the end of the file.
            # A folder is refused, or else mv would put the file into it.
            script = (
                '[ ! -d "$2" ] || { echo "it is a folder" >&2; exit 1; }; '
                'trap \'rm -f "$1"\' EXIT; umask 077; cat >"$1" && [ "$(wc -c <"$1")" -eq "$3" ]'
                ' && chmod "$4" "$1" && mv -f "$1" "$2"'
            )
            words = [script, "sh", part, target, str(status.st_size), f"{status.st_mode & 0o777:o}"]
            with self.open(f"sh -c {shlex.join(words)}") as channel:
                left = status.st_size
                with contextlib.suppress(ConnectionLost):  # it may have failed; wait() tells
                    while left and (chunk := file.read(min(CHUNK, left))):
                        channel.send(chunk, TRANSFER_STALL)
                        left -= len(chunk)
                channel.close_stdin()
                self._expect_success(channel, f"cannot write {target}")

    def download(self, source: str, target: Path) -> None:
        """Copies a file from the machine; never leaves half a `target`.

        Raises OSError for `target`, ProvisionError for `source` (with the machine's words),
        TimeoutError when nothing moves for a minute, ConnectionLost.
        """
        descriptor, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with (
                open(descriptor, "wb") as file,
                self.open(f"cat -- {shlex.quote(source)}") as channel,
            ):
                channel.close_stdin()
                while chunk := channel.receive(CHUNK, TRANSFER_STALL):
                    file.write(chunk)
                self._expect_success(channel, f"cannot read {source}")
            os.replace(part, target)
        except BaseException:
            os.unlink(part)
            raise

    def _expect_success(self, channel: Channel, problem: str) -> None:
        if code := channel.wait(TRANSFER_STALL):
            words = channel.stderr_tail().decode(errors="replace").strip()
            raise ProvisionError(f"{self.name}: {problem}: {words or f'exit code {code}'}")

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
