"""A real sshd on a loopback address of its own."""

import contextlib
import getpass
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.machines.keeper import PATIENCE, Deadline, Keeper, kill_sessions

# See sshd_config(5). Limits that protect a real server would only make tests wait.
CONFIG = """\
Port {port}
ListenAddress {address}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UseDNS no
PrintMotd no
PrintLastLog no
LogLevel VERBOSE
MaxStartups 1000
MaxSessions 1000
PerSourceMaxStartups none
Subsystem sftp internal-sftp
"""


def sshd_missing() -> str | None:
    """Why there can be no `Sshd` on this box; None if there can be."""
    if find_sshd() is None:
        return "no sshd (Debian: apt-get install openssh-server)"
    if shutil.which("ssh-keygen") is None:
        return "no ssh-keygen (Debian: apt-get install openssh-client)"
    return None


def find_sshd() -> str | None:
    """The absolute path of sshd, without which it refuses to start."""
    return shutil.which(
        "sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin"
    )


class Sshd:
    """A real sshd at `address`:`port`, which `user` can log in to with the key `identity`.

    A context manager: starts on entering, and on leaving ends all that was started through it,
    daemons too. Those who log in find an empty HOME. Everything else of the box is shared.
    """

    def __init__(self, *, address: str | None = None) -> None:
        """`address`: of this box; by default some 127.N.N.N, so that many can run side by side."""
        self.address = (
            address
            or f"127.{random.randrange(64, 128)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        )
        self.port = 0
        self.user = getpass.getuser()
        self._keeper: Keeper | None = None

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="atex-sshd-"))
        try:
            self._set_up()
            self.start()
        except BaseException:
            self._tear_down()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tear_down()

    @property
    def identity(self) -> Path:
        """The private key that may log in."""
        return self.folder / "identity"

    @property
    def home(self) -> Path:
        """HOME of those who log in."""
        return self.folder / "home"

    @property
    def host_key(self) -> str:
        """The server's public key, `ssh-ed25519 AAAA...`, as in a line of known_hosts."""
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    def start(self) -> None:
        """Starts the server; returns when it answers. The address and port stay the same until the
        end.
        """
        self._running.boot()
        await_ssh(self.address, self.port, self._running)

    def stop(self) -> None:
        """Ends the server: connections are refused. Sessions go on, as when the service is
        stopped.
        """
        self._running.kill()

    def restart(self, *, new_host_key: bool = False) -> None:
        """Stops and starts the server, with another host key if asked for one."""
        self.stop()
        if new_host_key:
            generate_key(self.folder / "host_key")
        self.start()

    def kill_sessions(self) -> None:
        """Kills all open connections; what they started lives on."""
        kill_sessions(self._running, listener=self._running.first_process)

    def reject_logins(self) -> None:
        """From now on nobody's key is known."""
        (self.folder / "authorized_keys").write_text("")

    def accept_logins(self) -> None:
        """Lets `identity` in again."""
        (self.folder / "authorized_keys").write_text((self.folder / "identity.pub").read_text())

    def log(self) -> str:
        """What sshd logged."""
        return self._running.log()

    @property
    def _running(self) -> Keeper:
        if self._keeper is None:
            raise RuntimeError("the sshd is not running: use it as a context manager")
        return self._keeper

    def _set_up(self) -> None:
        self.home.mkdir()
        generate_key(self.folder / "host_key")
        generate_key(self.identity)
        self.accept_logins()
        self.port = free_port(self.address)
        extra = ["UsePAM no", f"SetEnv HOME={self.home}"]
        config = write_config(self.folder, self.folder, self.address, self.port, extra)
        if os.geteuid() == 0:
            # The folder is compiled in, and root's sshd does not start without it.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._keeper = Keeper(self.folder, [find_sshd() or "sshd", "-D", "-e", "-f", str(config)])

    def _tear_down(self) -> None:
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
        shutil.rmtree(self.folder, ignore_errors=True)


def write_config(
    folder: Path, seen_as: Path, address: str, port: int, extra: Sequence[str]
) -> Path:
    """Writes folder/sshd_config with `extra` lines; `seen_as` is the folder's name where the server runs."""
    lines = [CONFIG.format(address=address, port=port, folder=seen_as), *extra]
    if _version() >= (9, 8):
        lines.append("PerSourcePenalties no")
    config = folder / "sshd_config"
    config.write_text("\n".join(lines) + "\n")
    return config


@cache
def _version() -> tuple[int, ...]:
    words = subprocess.run(
        [find_sshd() or "sshd", "-V"], capture_output=True, text=True, check=False
    )
    match = re.search(r"OpenSSH_(\d+)\.(\d+)", words.stderr + words.stdout)
    return tuple(map(int, match.groups())) if match else (0, 0)


def generate_key(path: Path) -> None:
    """A new ed25519 key without a passphrase at `path` and `path`.pub, in place of an older one."""
    path.unlink(missing_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "atex-tests", "-f", path], check=True
    )


def free_port(address: str) -> int:
    """A port of `address` that nobody listens on."""
    with socket.create_server((address, 0)) as listener:
        return int(listener.getsockname()[1])


def await_ssh(address: str, port: int, keeper: Keeper) -> None:
    """Returns when an ssh server greets at `address`:`port`; raises MachineError when none does in
    time.
    """
    deadline = Deadline(keeper)
    while deadline.wait(f"an ssh server at {address}:{port}"):
        with (
            contextlib.suppress(OSError),
            socket.create_connection((address, port), PATIENCE) as connection,
        ):
            if connection.recv(4) == b"SSH-":
                return
