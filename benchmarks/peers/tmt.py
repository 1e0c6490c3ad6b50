"""Drives tmt for a benchmark, over its command line, the only interface it has for this."""

import os
import subprocess
import time
from pathlib import Path

from benchmarks.trees import write_tree
from tests.machines import LightHost


def seconds_per_test(python: Path, host: LightHost, folder: Path, tests: int) -> float:
    """Return what one more `true` test costs tmt: a run with `tests` more than one, less a run with one."""
    return (_run(python, host, folder, 1 + tests) - _run(python, host, folder, 1)) / tests


def allow(host: LightHost) -> None:
    """Let tmt find on `host` what it needs: it asks the package manager for flock and rsync, which are there.

    A light host has no package database of its own, so `apt` and `apt-file` answer for it that all is well.
    """
    script = (
        "cd /run/machine/bin && printf '#!/bin/sh\\n' >apt && printf '#!/bin/sh\\necho util-linux\\n' >apt-file"
        " && chmod +x apt apt-file"
    )
    login = ["-i", str(host.identity), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    subprocess.run(["ssh", "-q", *login, f"{host.user}@{host.address}", script], check=True)


def _run(python: Path, host: LightHost, folder: Path, tests: int) -> float:
    tree = folder / f"tmt-{tests}"
    if not tree.exists():
        write_tree(tree, {f"true{number}": "true" for number in range(tests)})
    environment = dict(os.environ, TMT_WORKDIR_ROOT=str(folder / "tmt"), NO_COLOR="1")
    provision = ["provision", "--how", "connect", "--guest", host.address, "--user", host.user]
    command = [str(python.parent / "tmt"), "run", "--all", *provision, "--key", str(host.identity)]
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"tmt failed: {done.stderr[-2000:]}")
    return seconds
