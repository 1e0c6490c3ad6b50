"""Real machines under test, on this one box: nothing here imitates ssh, a network or a reboot.

`Sshd` is a real sshd on a loopback address: cheap, no root needed, shares the box's files and
processes. `LightHosts` are machines of their own as far as a test can see: process table, network,
/root, /run, /tmp, /var/lib, hostname and boot id, with a link that can be cut and a power switch.
`NspawnHosts` are the same with a disk of their own and a real systemd. Both need root.
`Repository` has real rpms for light hosts. `podman_images` has an image for real containers.

Whatever is started here ends with the process that started it, also when that one is killed with
SIGKILL.
"""

from tests.machines.keeper import Keeper
from tests.machines.light_host import LightHost, LightHosts, light_hosts_missing
from tests.machines.machine import Machine
from tests.machines.nspawn import NspawnHost, NspawnHosts, nspawn_missing
from tests.machines.podman import (
    all_containers,
    containers_of,
    podman_images,
    podman_missing,
    podman_settings,
    remove_container,
)
from tests.machines.repository import Repository, rpm_missing
from tests.machines.sshd import Sshd, sshd_missing

__all__ = [
    "Keeper",
    "LightHost",
    "LightHosts",
    "Machine",
    "NspawnHost",
    "NspawnHosts",
    "Repository",
    "Sshd",
    "all_containers",
    "containers_of",
    "light_hosts_missing",
    "nspawn_missing",
    "podman_images",
    "podman_missing",
    "podman_settings",
    "remove_container",
    "rpm_missing",
    "sshd_missing",
]
