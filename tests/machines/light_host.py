"""Machines made of Linux namespaces: network, process table, folders and boot of their own, and a
real sshd.

They share the box's /usr and /etc and its kernel.
"""

import os
import shutil
import subprocess
from pathlib import Path

from tests.machines.machine import Machine, Machines
from tests.machines.sshd import find_sshd, generate_key, sshd_missing, write_config

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
if [ -d /etc/dnf ]; then mount --bind {folder}/etc/dnf /etc/dnf; fi
cat /proc/sys/kernel/random/uuid >/run/machine/boot_id
mount --bind /run/machine/boot_id /proc/sys/kernel/random/boot_id
booted=$(($(cat /run/machine/booted 2>/dev/null || date +%s) + 1))
echo "$booted" >/run/machine/booted
sed "s/^btime .*/btime $booted/" /proc/stat >/run/machine/stat
mount --bind /run/machine/stat /proc/stat
mount --bind {folder}/tmp /tmp
cd /
exec env -i PATH={path} {sshd} -D -e -f /run/machine/sshd_config
"""

# Packages of a host's own: their database is in /root (Debian's rpm), what is said to be there in /root/repos.
DNF = """\
[main]
reposdir=/root/repos
cachedir=/var/tmp/dnf
logdir=/var/tmp
gpgcheck=0
"""

# In its own namespaces only: anywhere else reboot(2) would mean the box. In a session of its own, for it is an init's
# business: it goes on when what called it is killed. The caller comes back (that stdout ends) when it is there.
REBOOT = """\
#!/bin/sh
[ "$(readlink /proc/self/ns/pid)" != "{box}" ] || exit 1
: "$(setsid sh -c '
exec >/dev/null
trap "" TERM
kill -TERM -1 2>/dev/null
sleep 0.2
exec python3 -c "import ctypes; ctypes.CDLL(None).reboot(0x01234567)"
' &)"
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


class LightHost(Machine):
    """A machine made of namespaces.

    Inside, `reboot` does what it says; each boot has an id of its own, and a time one second after the last one's.
    /root, /tmp, /var/tmp and /var/lib survive it; /run does not. rpm and dnf have a database and repositories of the
    host's own, at first empty (`Repository.offer_to`).
    """

    @property
    def boot_id(self) -> str:
        path = self.folder / "machine/boot_id"
        return path.read_text().strip() if path.exists() else ""

    def _ask_to_reboot(self) -> None:
        """SIGTERM to all, then the end."""
        subprocess.run(
            ["nsenter", "-a", "-r", "-t", str(self.init), "/run/machine/bin/reboot"], check=False
        )

    def _listener(self) -> int:
        return self.init  # nothing but sshd runs there

    def _make_folders(self) -> None:
        for own in ("root", "tmp", "var/tmp", "var/lib", "machine/bin", "etc/dnf/vars"):
            (self.folder / own).mkdir(parents=True)
        for public in ("tmp", "var/tmp"):
            (self.folder / public).chmod(0o1777)
        (self.folder / "etc/dnf/dnf.conf").write_text(DNF)
        (self.folder / "etc/dnf/vars/releasever").write_text("1\n")
        machine = self.folder / "machine"
        generate_key(machine / "host_key")
        shutil.copy(self.identity.with_suffix(".pub"), machine / "authorized_keys")
        extra = ["UsePAM no", f"SetEnv HOME=/root PATH={PATH}"]
        write_config(machine, Path("/run/machine"), "0.0.0.0", self.port, extra)
        reboot = machine / "bin/reboot"
        reboot.write_text(REBOOT.format(box=os.readlink("/proc/self/ns/pid")))
        reboot.chmod(0o755)

    def _first_command(self) -> list[str]:
        script = BOOT.format(name=self.name, folder=self.folder, path=PATH, sshd=find_sshd())
        own = ["--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
        return ["unshare", *own, "--propagation", "private", "bash", "-c", script]


class LightHosts(Machines[LightHost]):
    """`count` light hosts with one key for all: `with LightHosts(2) as (one, other)`."""

    def __init__(self, count: int) -> None:
        super().__init__(LightHost, count)
