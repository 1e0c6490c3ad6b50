"""The keys of the user's ssh agent, which may hang."""

import contextlib
import os
import socket
import struct

from paramiko.agent import AgentSSH

ANSWER_TIME = 4  # seconds for the agent to list its keys, which it has at hand


class SshAgent(AgentSSH):
    """A connection to the agent that SSH_AUTH_SOCK names.

    A signature may take a human's time, and is made in the thread of paramiko's transport: whoever
    has waited long enough for it calls close(), from any thread.
    """

    def __init__(self) -> None:
        """Reads the keys; none if there is no agent. Raises SSHException or OSError, which is
        TimeoutError after 4 seconds.
        """
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = os.environ.get("SSH_AUTH_SOCK")
        try:
            if path:
                self._limit(ANSWER_TIME)
                self._socket.connect(path)
                self._connect(self._socket)  # type: ignore[attr-defined]
                self._limit(0)
        except (FileNotFoundError, ConnectionRefusedError):  # it has ended
            self.close()
        except BlockingIOError:
            self.close()
            raise TimeoutError(f"no answer in {ANSWER_TIME} s") from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends who waits for a signature, too. Total; may be repeated."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _limit(self, seconds: int) -> None:
        """The kernel's; 0: none. With settimeout(), connect() would not wait for an agent that is busy."""
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", seconds, 0))
