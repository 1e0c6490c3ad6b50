"""This very machine as a machine under test."""

import os

from atex_provision.connection.process import ProcessChannel, ProcessConnection
from atex_provision.errors import ProvisionError


class LocalConnection(ProcessConnection):
    """Runs commands on this machine, as this user, in the home folder."""

    name = "local"

    def connect(self) -> None:
        with self._lock:
            self._connected = True

    def _start(self, command: str) -> ProcessChannel:
        shell = ["/bin/sh", "-c", command]
        home = os.path.expanduser("~")
        folder = home if os.path.isdir(home) else "/"
        try:
            return ProcessChannel(shell, name=self.name, folder=folder, on_close=self._forget)
        except OSError as error:
            raise ProvisionError(f"{self.name}: cannot run a command: {error}") from error
