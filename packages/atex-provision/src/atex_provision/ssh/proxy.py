"""By a ProxyCommand of ~/.ssh/config: a process whose stdin and stdout lead to the ssh server.

Guarantee: it and all that it starts in its process group end with the connection, and with this
process, however that ends. A shell of ours waits beside it for the end of a pipe whose other end
only this process holds, and then kills the group. (Many such commands would end by themselves
when their stdin does, but not all; PDEATHSIG fires when the thread that started them ends.)
"""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import threading

from atex_provision.errors import CannotConnect
from atex_provision.ssh.route import Route

LAST_WORDS = 500  # bytes of its stderr that are shown when there is no connection
END_TIME = 5.0  # seconds for a killed process to end

# stdin is the pipe, stdout the socket, which the command has for both; then only it has the socket.
# $1 is the user's shell, $2 the command.
TETHERED = '"$1" -c "exec $2" <&1 & exec >&-; read -r _; kill -KILL 0'


class ProxyRoute(Route):
    """By the target's `proxy_command`."""

    _stream: "ProxyStream | None" = None

    def connect(self) -> "ProxyStream":
        try:
            stream = ProxyStream(str(self._target.proxy_command))
        except OSError as error:
            raise CannotConnect(f"{self._target}: cannot start a ProxyCommand: {error}") from error
        self._stream = stream
        self._hold(stream)
        return stream

    def last_words(self) -> str:
        if self._stream is None:
            return ""
        self._stream.close()
        words = self._stream.last_words
        said = f"which said: {words}" if words else "which said nothing"
        return f" by way of ProxyCommand {self._target.proxy_command!r}, {said}"


class ProxyStream(socket.socket):
    """A socket whose other end is a process, which ends with it.

    `_lock` guards `_process`, `_stderr` and `last_words`; who closes it again waits until it is closed.
    """

    def __init__(self, command: str) -> None:
        """Starts `command`. Raises OSError."""
        near, far = socket.socketpair()
        super().__init__(fileno=near.detach())
        self._lock = threading.Lock()
        self.last_words = ""
        """The end of what the process has written to stderr; when it is closed."""
        with far, contextlib.ExitStack() as failing:
            failing.callback(super().close)
            self._stderr = failing.enter_context(tempfile.TemporaryFile())
            shell = os.environ.get("SHELL", "/bin/sh")
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", TETHERED, "sh", shell, command],
                stdin=subprocess.PIPE,
                stdout=far.fileno(),
                stderr=self._stderr,
                start_new_session=True,
            )
            failing.pop_all()

    def close(self) -> None:
        """Closes the socket and ends the process. Total; any thread."""
        super().close()
        with self._lock:
            if self._stderr.closed:
                return
            if self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_TIME)
            if self._process.stdin is not None:
                self._process.stdin.close()
            size = self._stderr.seek(0, os.SEEK_END)
            self._stderr.seek(max(0, size - LAST_WORDS))
            self.last_words = self._stderr.read().decode(errors="replace").strip()
            self._stderr.close()
