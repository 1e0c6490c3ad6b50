"""Machines made of Linux namespaces: network, process table, folders and boot of their own, and a
real sshd.

They share the box's /usr and /etc and its kernel. Each has a point-to-point link to the box (a veth
pair in 198.18.0.0/15, the range that RFC 2544 sets aside for such things), so hosts do not see each
other. Nothing has a name that outlives its processes: the host's keeper alone holds the network
namespace, the link goes with it.
"""

import os
import random
import shutil
import socket
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.machines.keeper import Deadline, Keeper, MachineError, descendants, kill_sessions
from tests.machines.sshd import await_ssh, find_sshd, generate_key, sshd_missing, write_config

SUBNETS = 2**15  # /30 networks in 198.18.0.0/15
BOX_MAC, HOST_MAC, NOBODYS_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"
PATH = "/run/machine/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Runs as the first process of a host's namespaces. /tmp comes last: the machine's folder may lie
# below it.
BOOT = """\
set -e
hostname {name}
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
mkdir -p /run/sshd /run/lock /run/machine
mount --bind {folder}/machine /run/machine
for own in root var/tmp var/lib; do mount --bind {folder}/$own /$own; done
cat /proc/sys/kernel/random/uuid >/run/machine/boot_id
mount --bind /run/machine/boot_id /proc/sys/kernel/random/boot_id
mount --bind {folder}/tmp /tmp
cd /
exec env -i PATH={path} {sshd} -D -e -f /run/machine/sshd_config
"""

# In its own namespaces only: anywhere else reboot(2) would mean the box.
REBOOT = """\
#!/bin/sh
[ "$(readlink /proc/self/ns/pid)" != "{box}" ] || exit 1
trap '' TERM
kill -TERM -1 2>/dev/null
sleep 0.2
exec python3 -c 'import ctypes; ctypes.CDLL(None).reboot(0x01234567)'
"""


def light_hosts_missing() -> str | None:
    """Why there can be no light hosts on this box; None if there can be."""
    if os.geteuid() != 0:
        return "light hosts need root"
    for tool in ("ip", "unshare", "nsenter", "mount"):
        if shutil.which(tool) is None:
            return f"no {tool} (Debian: apt-get install iproute2 util-linux)"
    probe = subprocess.run(
        [
            "unshare",
            "--net",
            "--mount",
            "--uts",
            "--ipc",
            "--pid",
            "--fork",
            "mount",
            "-t",
            "tmpfs",
            "tmpfs",
            "/mnt",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if probe.returncode:
        return f"no namespaces here: {probe.stderr.strip()}"
    return sshd_missing()


class LightHosts:
    """`count` light hosts with one key for all: `with LightHosts(2) as (one, other)`.

    A context manager: all answer when it is entered, and nothing is left of them when it is left.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._stack = ExitStack()

    def __enter__(self) -> "list[LightHost]":
        with ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix="atex-hosts-"))
            # There is no machine in it, but it removes the folder, whatever happens to us.
            stack.callback(Keeper(folder, []).close)
            generate_key(folder / "identity")
            hosts = [
                stack.enter_context(LightHost(folder, f"sut{n}")) for n in range(1, self._count + 1)
            ]
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(LightHost.boot, hosts))
            self._stack = stack.pop_all()
        return hosts

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()


class LightHost:
    """One machine: `user` root, port 22 at `address`, `identity` logs in. Made by `LightHosts`.

    Inside, `reboot` does what it says. /root, /tmp, /var/tmp and /var/lib survive it; /run does
    not.
    """

    user = "root"
    port = 22

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.identity = folder / "identity"
        self.folder = folder / name
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._subnet, lock = _reserve_subnet()
            stack.enter_context(lock)
            self._make_folders()
            self._keeper = Keeper(
                self.folder, self._first_command(), own_network=True, held=[lock.fileno()]
            )
            stack.callback(self._keeper.close)
            self._connect()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def address(self) -> str:
        """The host's address."""
        return _address(self._subnet, 2)

    @property
    def host_key(self) -> str:
        """The server's public key, `ssh-ed25519 AAAA...`, as in a line of known_hosts."""
        return " ".join((self.folder / "machine/host_key.pub").read_text().split()[:2])

    @property
    def boot_id(self) -> str:
        """What /proc/sys/kernel/random/boot_id says in there since the last boot; "" before the
        first.
        """
        path = self.folder / "machine/boot_id"
        return path.read_text().strip() if path.exists() else ""

    @property
    def init(self) -> int:
        """The pid, as seen from this box, of the process that is number 1 in there: the listening
        sshd.
        """
        unshare = self._keeper.first_process
        return next((pid for pid, _ in descendants(unshare)), 0)

    def boot(self) -> None:
        """Switches the power on, with the link in order; returns when sshd answers."""
        self.heal()
        self._keeper.boot()
        await_ssh(self.address, self.port, self._keeper)

    def reboot(self) -> None:
        """An orderly reboot: SIGTERM to all, then the end; returns when sshd answers again."""
        before = self.boot_id
        subprocess.run(
            ["nsenter", "-a", "-r", "-t", str(self.init), "/run/machine/bin/reboot"], check=False
        )
        deadline = Deadline(self._keeper)
        while self.boot_id == before:
            deadline.wait(f"{self.name} to boot")
        await_ssh(self.address, self.port, self._keeper)

    def crash(self) -> None:
        """Cuts the power: nobody in there gets to say a word. `boot()` brings it back."""
        self.cut()
        self._keeper.kill()

    def cut(self) -> None:
        """Cuts the link: packets vanish in both directions, nobody is told."""
        self._set_neighbours(NOBODYS_MAC, NOBODYS_MAC)

    def heal(self) -> None:
        """Mends the link."""
        self._set_neighbours(BOX_MAC, HOST_MAC)

    def kill_sessions(self) -> None:
        """Kills all open ssh connections; what they started lives on."""
        kill_sessions(self._keeper, listener=self.init)

    def log(self) -> str:
        """What sshd logged, since the first boot."""
        return self._keeper.log()

    def _make_folders(self) -> None:
        for own in ("root", "tmp", "var/tmp", "var/lib", "machine/bin"):
            (self.folder / own).mkdir(parents=True)
        for public in ("tmp", "var/tmp"):
            (self.folder / public).chmod(0o1777)
        machine = self.folder / "machine"
        generate_key(machine / "host_key")
        shutil.copy(self.identity.with_suffix(".pub"), machine / "authorized_keys")
        write_config(
            machine, Path("/run/machine"), "0.0.0.0", self.port, Path("/root"), f"PATH={PATH}"
        )
        reboot = machine / "bin/reboot"
        reboot.write_text(REBOOT.format(box=os.readlink("/proc/self/ns/pid")))
        reboot.chmod(0o755)

    def _first_command(self) -> list[str]:
        script = BOOT.format(name=self.name, folder=self.folder, path=PATH, sshd=find_sshd())
        own = ["--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
        return ["unshare", *own, "--propagation", "private", "bash", "-c", script]

    def _connect(self) -> None:
        """Lays the link. Neighbours are fixed on both ends, so that cut() has something to set
        wrong.
        """
        _ip(
            f"link add {self._link} address {BOX_MAC} type veth"
            f" peer name eth0 address {HOST_MAC} netns {self._keeper.pid}",
            f"address add {_address(self._subnet, 1)}/30 dev {self._link}",
            f"link set {self._link} up",
        )
        self._ip_inside(
            "link set lo up", f"address add {self.address}/30 dev eth0", "link set eth0 up"
        )

    def _set_neighbours(self, box: str, host: str) -> None:
        """Sets where each end sends: the MAC of the box for the host, the MAC of the host for the
        box.
        """
        _ip(f"neighbour replace {self.address} lladdr {host} nud permanent dev {self._link}")
        self._ip_inside(
            f"neighbour replace {_address(self._subnet, 1)} lladdr {box} nud permanent dev eth0"
        )

    def _ip_inside(self, *commands: str) -> None:
        _ip(*commands, prefix=["nsenter", f"--net=/proc/{self._keeper.pid}/ns/net"])

    @property
    def _link(self) -> str:
        return f"atex{self._subnet}"


def _reserve_subnet() -> tuple[int, socket.socket]:
    """The number of a /30 that no other light host on this box uses, and what holds it until it is
    closed.

    The kernel would give one address to two links, hence a lock; an abstract socket cannot go
    stale.
    """
    for number in random.sample(range(SUBNETS), SUBNETS):
        lock = socket.socket(socket.AF_UNIX)
        try:
            lock.bind(f"\0atex-light-host-{number}")
        except OSError:
            lock.close()
            continue
        return number, lock
    raise MachineError("all subnets of 198.18.0.0/15 are in use")


def _address(subnet: int, host: int) -> str:
    number = (198 << 24) + (18 << 16) + 4 * subnet + host
    return socket.inet_ntoa(number.to_bytes(4, "big"))


def _ip(*commands: str, prefix: list[str] | None = None) -> None:
    """Runs commands of ip(8) in one go."""
    batch = "".join(f"{command}\n" for command in commands)
    done = subprocess.run(
        [*(prefix or []), "ip", "-batch", "-"],
        input=batch,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MachineError(f"ip failed: {done.stderr.strip()}\n{batch}")
