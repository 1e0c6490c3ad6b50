"""OpenSSH's client, the reference: commands over a connection that is already there."""

import subprocess
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.machines import LightHost

LIMIT = 60.0  # seconds for one command


class MultiplexedSsh:
    """`ssh -S socket host command`, with the master behind that socket. A context manager."""

    def __init__(self, host: LightHost, folder: Path) -> None:
        """`folder` is for the socket; a socket's path has 107 bytes at most (unix(7))."""
        self._socket = folder / "ssh"
        self._host = host
        self.target = f"{host.user}@{host.address}"
        """What follows the options."""
        self.command = f"ssh -S {self._socket}"
        """For rsync's `-e`."""

    def __enter__(self) -> Self:
        options = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ServerAliveInterval=5",  # it ends by itself soon after the host did
        ]
        login = ["-i", str(self._host.identity), *(f"-o{option}" for option in options)]
        self._ssh([*login, "-M", "-f", "-N"], [])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ssh(["-q", "-O", "exit"], [])

    def run(self, command: str, output: IO[bytes] | None = None) -> None:
        """Run a shell command there, its stdout into `output`.

        Raises CalledProcessError where it fails, TimeoutExpired where it takes more than a minute.
        """
        self._ssh([], [command], output)

    def _ssh(self, options: list[str], command: list[str], output: IO[bytes] | None = None) -> None:
        subprocess.run(
            ["ssh", "-S", str(self._socket), *options, self.target, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            timeout=LIMIT,
            check=True,
        )
