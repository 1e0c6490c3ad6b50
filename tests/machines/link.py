"""A point-to-point link from the box to a machine that has a network namespace of its own: a veth pair.

Addresses are of 198.18.0.0/15, the range that RFC 2544 sets aside for such things; each link has a /30, so machines
do not see each other.
"""

import random
import socket
import subprocess

from tests.machines.keeper import MachineError

SUBNETS = 2**15  # /30 networks in 198.18.0.0/15
BOX_MAC, HOST_MAC, NOBODYS_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"


class Link:
    """A /30 of the box, reserved until `lock` is closed everywhere; a cable lies there after `lay()`.

    The cable goes with the network namespace of the process that it leads to.
    """

    def __init__(self) -> None:
        self.number, self.lock = _reserve_subnet()

    @property
    def name(self) -> str:
        """The interface of the box."""
        return f"atex{self.number}"

    @property
    def address(self) -> str:
        """The machine's address."""
        return _address(self.number, 2)

    def lay(self, pid: int) -> None:
        """Connect the box with the network namespace of process `pid`."""
        self._inside = ["nsenter", f"--net=/proc/{pid}/ns/net"]
        _ip(
            f"link add {self.name} address {BOX_MAC} type veth"
            f" peer name eth0 address {HOST_MAC} netns {pid}",
            f"address add {_address(self.number, 1)}/30 dev {self.name}",
            f"link set {self.name} up",
        )
        _ip(
            "link set lo up",
            f"address add {self.address}/30 dev eth0",
            "link set eth0 up",
            prefix=self._inside,
        )

    def cut(self) -> None:
        """Packets vanish in both directions, nobody is told."""
        self._set_neighbours(NOBODYS_MAC, NOBODYS_MAC)

    def heal(self) -> None:
        """Packets arrive."""
        self._set_neighbours(BOX_MAC, HOST_MAC)

    def reset(self) -> None:
        """Every TCP connection over it ends with a reset, which the machine sends."""
        command = [*self._inside, "ss", "--tcp", "--kill", "state", "established"]
        subprocess.run(command, check=True, capture_output=True)

    def _set_neighbours(self, box: str, host: str) -> None:
        """Set where each end sends: the MAC of the box for the machine, the MAC of the machine for the box."""
        _ip(f"neighbour replace {self.address} lladdr {host} nud permanent dev {self.name}")
        _ip(
            f"neighbour replace {_address(self.number, 1)} lladdr {box} nud permanent dev eth0",
            prefix=self._inside,
        )


def _reserve_subnet() -> tuple[int, socket.socket]:
    """The number of a /30 that no other machine on this box uses, and what holds it until it is closed.

    The kernel would give one address to two links, hence a lock; an abstract socket cannot go stale.
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
