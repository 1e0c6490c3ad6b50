"""What light hosts and nspawn machines have in common: a link that can be cut, a power switch and a real sshd."""

import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from tests.machines.keeper import PATIENCE, Deadline, Keeper, descendants, kill_sessions
from tests.machines.link import Link
from tests.machines.sshd import await_ssh, generate_key


class _Entered:
    """What has been entered, and with that `_stack`, is left once."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()


class Machine(_Entered, ABC):
    """One machine: `user` root, port 22 at `address`, `identity` logs in. Made by `Machines`.

    Nothing of it has a name that outlives its processes: its keeper alone holds the network namespace, the link goes
    with it.
    """

    user = "root"
    port = 22

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__()
        self.name = name
        self.identity = folder / "identity"
        self.folder = folder / name

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.link = Link()
            stack.enter_context(self.link.lock)
            self._make_folders()
            self._keeper = Keeper(
                self.folder,
                self._first_command(),
                own_network=True,
                held=[self.link.lock.fileno()],
            )
            stack.callback(self._keeper.close)
            self.link.lay(self._keeper.pid)
            self._stack = stack.pop_all()
        return self

    @property
    def address(self) -> str:
        """The machine's address."""
        return self.link.address

    @property
    def host_key(self) -> str:
        """The server's public key, `ssh-ed25519 AAAA...`, as in a line of known_hosts."""
        return " ".join((self.folder / "machine/host_key.pub").read_text().split()[:2])

    @property
    @abstractmethod
    def boot_id(self) -> str:
        """What /proc/sys/kernel/random/boot_id says in there since the last boot; "" before the first."""

    @property
    def init(self) -> int:
        """The pid, as seen from this box, of the process that is number 1 in there; 0 where there is none."""
        return next((pid for pid, _ in descendants(self._keeper.first_process)), 0)

    def boot(self) -> None:
        """Switches the power on, with the link in order; returns when sshd answers."""
        self.heal()
        self._keeper.boot()
        await_ssh(self.address, self.port, self._keeper)

    def reboot(self) -> None:
        """An orderly reboot; returns when sshd answers again."""
        before = self.boot_id
        self._ask_to_reboot()
        deadline = Deadline(self._keeper)
        while self.boot_id in (before, ""):
            deadline.wait(f"{self.name} to boot")
        await_ssh(self.address, self.port, self._keeper)

    def crash(self) -> None:
        """Cuts the power: nobody in there gets to say a word. `boot()` brings it back."""
        self.cut()
        self._keeper.kill()

    def cut(self) -> None:
        """Cuts the link: packets vanish in both directions, nobody is told."""
        self.link.cut()

    def heal(self) -> None:
        """Mends the link."""
        self.link.heal()

    def kill_sessions(self) -> None:
        """Kills all open ssh connections; what they started lives on."""
        kill_sessions(self._keeper, listener=self._listener())

    def run(self, script: str) -> None:
        """Runs a script in there as root, without a login. Raises CalledProcessError where that fails."""
        command = ["nsenter", "-a", "-r", "-t", str(self.init), "sh", "-ec", script]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)

    def log(self) -> str:
        """What its first process printed, since the first boot."""
        return self._keeper.log()

    @abstractmethod
    def _make_folders(self) -> None:
        """Make `folder`, and in it what the first command needs; machine/host_key among it."""

    @abstractmethod
    def _first_command(self) -> Sequence[str]:
        """The command that is the machine while it runs; it has a network namespace of its own already."""

    @abstractmethod
    def _ask_to_reboot(self) -> None:
        """Have the machine reboot."""

    @abstractmethod
    def _listener(self) -> int:
        """The pid, as seen from this box, of the sshd that listens."""


M = TypeVar("M", bound=Machine)


class Machines(_Entered, Generic[M]):
    """`count` machines of a kind with one key for all: `with Machines(LightHost, 2) as (one, other)`.

    A context manager: all answer when it is entered, and nothing is left of them when it is left.
    """

    def __init__(self, kind: Callable[[Path, str], M], count: int) -> None:
        super().__init__()
        self._kind = kind
        self._count = count

    def __enter__(self) -> list[M]:
        with ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix="atex-hosts-"))
            # There is no machine in it, but it removes the folder, whatever happens to us.
            stack.callback(Keeper(folder, []).close)
            generate_key(folder / "identity")
            names = [f"sut{number}" for number in range(1, self._count + 1)]
            machines = [self._kind(folder, name) for name in names]
            for machine in machines:
                stack.enter_context(machine)
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda machine: machine.boot(), machines))
            self._stack = stack.pop_all()
        return machines
