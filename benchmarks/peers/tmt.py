"""Drives tmt for a benchmark, over its command line, the only interface it has for this."""

import itertools
import os
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

from benchmarks.peers.environment import PeerMissing, peer_python
from benchmarks.peers.process import peer_process
from benchmarks.trees import write_tree
from tests.machines import LightHost

LIMIT = 600.0  # seconds for the whole run


def seconds_per_test(host: LightHost, folder: Path, tests: int) -> list[float]:
    """Return what each of `tests` tests that are `true` costs tmt: from its start to the start of the next.

    All are in one run. Its other steps are not counted: in provision and in execute tmt looks at its ssh master at
    once, which is too early, and waits 30 s before it looks again.

    Raises PeerMissing where tmt can not be installed or finds no rsync here, RuntimeError where it fails.
    """
    if not shutil.which("rsync"):
        raise PeerMissing("tmt needs rsync (Debian: apt-get install rsync)")
    program = peer_python("tmt==1.78.0").with_name("tmt")
    tree = write_tree(folder / "tmt-tree", {f"true{number}": "true" for number in range(tests + 1)})
    run = folder / "tmt"
    login = ["--guest", host.address, "--user", host.user, "--key", str(host.identity)]
    # Without prepare, which would ask a package manager for what is there already.
    steps = ["discover", "provision", "--how", "connect", *login, "execute"]
    environment = {
        **os.environ,
        "TMT_WORKDIR_ROOT": str(folder),
        "TMT_SCRIPTS_DIR": "/run/machine/bin",  # not /usr/local/bin: a light host shares /usr with this box
    }
    command = [str(program), "run", "--id", str(run), *steps]
    with peer_process(command, tree, environment, subprocess.STDOUT) as process:
        output, _ = process.communicate(timeout=LIMIT)
    if process.returncode:
        raise RuntimeError(f"tmt failed:\n{output.decode(errors='replace')[-2000:]}")
    starts = _starts((run / "plan/execute/results.yaml").read_text())
    if len(starts) != tests + 1:
        raise RuntimeError(f"tmt ran {len(starts)} of {tests + 1} tests")
    return [later - earlier for earlier, later in itertools.pairwise(starts)]


def _starts(results: str) -> list[float]:
    """Return when each test started, in unix seconds."""
    found = re.findall(r"^  start-time: '(.+)'$", results, re.MULTILINE)
    return [datetime.fromisoformat(time).timestamp() for time in found]
