"""The disk of machines that do not share the box's: a Debian, made by debootstrap once per box and kept.

It lies in the user's cache folder (XDG_CACHE_HOME, else ~/.cache), below `atex-tests/`; what it is made of is part of
its name, so that a change here makes another one. It may be deleted while no test runs.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.machines.keeper import MachineError

RELEASE = "bookworm"
PACKAGES = ["dbus", "libpam-systemd", "openssh-server", "procps", "python3", "systemd-sysv"]
USER = "tester"

# Runs in the new root; dpkg has no need to fsync what is thrown away where it fails.
FINISH = f"""\
set -e
useradd --create-home --shell /bin/bash {USER}
rm -f /etc/hostname /etc/ssh/ssh_host_*
rm -rf /var/lib/apt/lists /var/cache/apt /usr/share/doc /usr/share/locale /usr/share/man
systemctl mask apt-daily.timer apt-daily-upgrade.timer console-getty.service
"""
LIMIT = 600.0  # seconds for making it

# Looked up at once: tests are given a HOME of their own.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "atex-tests"


def debian() -> Path:
    """The folder of the Debian, which nobody may write to; whoever asks first waits a minute until it is made.

    Raises MachineError, with the log's end, where that fails.
    """
    recipe = "\n".join([RELEASE, *PACKAGES, FINISH])
    root = CACHE / f"{RELEASE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{root.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs may share a box
        if not root.is_dir():
            unfinished = CACHE / f"{root.name}.unfinished"
            if unfinished.exists():
                shutil.rmtree(unfinished)  # of one that was killed
            _make(unfinished, CACHE / f"{root.name}.log")
            unfinished.rename(root)
    return root


def _make(root: Path, log: Path) -> None:
    include = ",".join(PACKAGES)
    steps = [
        ["debootstrap", "--variant=minbase", f"--include={include}", RELEASE, str(root)],
        ["chroot", str(root), "/bin/sh", "-c", FINISH],
    ]
    with log.open("w") as file:
        for step in steps:
            ended = subprocess.run(
                step,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=LIMIT,
                check=False,
            )
            if ended.returncode:
                tail = "".join(log.read_text(errors="replace").splitlines(keepends=True)[-20:])
                raise MachineError(f"{step[0]} failed; the end of {log}:\n{tail}")
