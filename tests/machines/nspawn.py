"""Machines with a real systemd as their first process: systemd-nspawn containers that boot.

Each has its own disk (an overlay above `rootfs.debian()`), network, process table and boot id; all of the disk
survives reboots, but for /run and /tmp. systemd, logind and PAM do what they do on a machine; the kernel is the box's.

Each has control groups of its own too. nspawn would give all that are started side by side the same ones, and then one
systemd kills the services of another.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.machines import rootfs
from tests.machines.keeper import descendants
from tests.machines.light_host import light_hosts_missing
from tests.machines.machine import Machine, Machines
from tests.machines.sshd import generate_key, write_config

# nspawn ends with code 133 where its machine wants to reboot; the keeper starts it again.
BOOT = """\
set -e
while read -r _ where kind options _; do
    case $kind,$options, in cgroup2,*|cgroup,*,name=systemd,*)
        mkdir -p "$where/{name}"
        echo "$where/{name}" >>{folder}/cgroups
        echo $$ >"$where/{name}/cgroup.procs"
    esac
done </proc/self/mounts
layers=lowerdir={debian},upperdir={folder}/disk,workdir={folder}/work
mount -t overlay -o "$layers" overlay {folder}/root
exec systemd-nspawn --quiet --register=no --keep-unit --directory={folder}/root \\
    --machine={name} --hostname={hostname} --boot
"""


def nspawn_missing() -> str | None:
    """Why there can be no nspawn machines on this box; None if there can be."""
    for tool, package in (
        ("systemd-nspawn", "systemd-container"),
        ("debootstrap", "debootstrap"),
    ):
        if shutil.which(tool) is None:
            return f"no {tool} (Debian: apt-get install {package})"
    return light_hosts_missing()


class NspawnHost(Machine):
    """A machine with systemd. `identity` also logs in as USER, who is nobody special."""

    USER = rootfs.USER

    @property
    def boot_id(self) -> str:
        with suppress(OSError):  # it is down, or comes up just now
            boot_id = Path(f"/proc/{self.init}/root/proc/sys/kernel/random/boot_id")
            return boot_id.read_text().strip()
        return ""

    @property
    def init(self) -> int:
        below = descendants(self._keeper.first_process)
        return next((pid for pid, name in below if name == "systemd"), 0)

    @property
    def disk(self) -> Path:
        """What the machine wrote, as seen from the box; what it did not write is not there."""
        return self.folder / "disk"

    def _ask_to_reboot(self) -> None:
        subprocess.run(
            ["nsenter", "-a", "-r", "-t", str(self.init), "systemctl", "reboot"], check=False
        )

    def _listener(self) -> int:
        return next((pid for pid, name in descendants(self.init) if name == "sshd"), 0)

    def _make_folders(self) -> None:
        machine = self.disk / "machine"
        for folder in (machine, self.disk / "etc/ssh", self.folder / "work", self.folder / "root"):
            folder.mkdir(parents=True)
        generate_key(machine / "host_key")
        shutil.copy(self.identity.with_suffix(".pub"), machine / "authorized_keys")
        config = write_config(machine, Path("/machine"), "0.0.0.0", self.port, ["UsePAM yes"])
        config.rename(self.disk / "etc/ssh/sshd_config")
        (self.folder / "machine").symlink_to("disk/machine")

    def _first_command(self) -> Sequence[str]:
        script = BOOT.format(
            debian=rootfs.debian(),
            folder=self.folder,
            name=f"{self.link.name}-{os.getpid()}",
            hostname=self.name,
        )
        own = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        return ["unshare", *own, "--propagation", "private", "bash", "-c", script]


class NspawnHosts(Machines[NspawnHost]):
    """`count` nspawn machines with one key for all: `with NspawnHosts(2) as (one, other)`."""

    def __init__(self, count: int) -> None:
        super().__init__(NspawnHost, count)
