"""The real `tmt run`, on a light host."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML

from tests.machines import LightHost

NEEDED = ["dnf", "rpmbuild", "rsync"]  # commands, on this box and so on its light hosts
LIMIT = 120.0  # seconds for a run of tmt

# tmt looks every 30 seconds whether ssh is connected or a machine is back; here it looks more often, and that is all.
TMT = """\
import functools, sys, tmt.utils.wait
waiting = tmt.utils.wait.Waiting
waiting.__init__ = functools.partialmethod(waiting.__init__, tick=0.1)
sys.argv[0] = "tmt"
from tmt.__main__ import run_cli
run_cli()
"""

# tmt wants this command on each machine, and asks rpm for it, whose database knows nothing of Debian's own packages.
FLOCK = """\
Name: flock
Version: 1
Release: 1
Summary: Debian has it without rpm
License: GPL-3.0-or-later
BuildArch: noarch
Provides: /usr/bin/flock
%description
It holds nothing.
%files
"""


class TmtRun(msgspec.Struct, frozen=True):
    """What became of a `tmt run`."""

    code: int
    err: str
    tests: Sequence[Mapping[str, Any]]
    """What was discovered, in order."""

    results: Sequence[Mapping[str, Any]]


class Tmt:
    """Calls `tmt` for one light host, which is made fit for it; all that tmt writes on this box is below `folder`."""

    def __init__(self, host: LightHost, folder: Path, environment: Mapping[str, str]) -> None:
        self._host = host
        self._folder = folder
        self._environment = {
            **environment,
            "TMPDIR": str(folder),
            "TMT_WORKDIR_ROOT": str(folder / "runs"),
            "TMT_SCRIPTS_DIR": "/var/tmp/tmt-scripts",  # on the host; /usr is not its own
        }
        folder.mkdir()
        self._install_flock()

    def run(self, tree: Path, plan: str, *options: str) -> TmtRun:
        """Run a plan of the tree; `options` are those of `tmt run`."""
        run = self._folder / "run"
        host = ["--how", "connect", "--guest", self._host.address, "--user", self._host.user]
        words = ["--root", str(tree), "run", "--all", "--scratch", "--id", str(run), *options]
        words += ["provision", *host, "--key", str(self._host.identity)]
        words += ["plan", "--name", f"^{plan}$"]
        done = subprocess.run(
            [sys.executable, "-c", TMT, *words],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        steps = run / plan.strip("/")
        tests, results = _read(steps / "discover/tests.yaml"), _read(steps / "execute/results.yaml")
        return TmtRun(done.returncode, done.stderr, tests, results)

    def _install_flock(self) -> None:
        spec = self._folder / "flock.spec"
        spec.write_text(FLOCK)
        top = self._host.folder / "var/lib/rpmbuild"
        build = ["rpmbuild", "--quiet", "-D", f"_topdir {top}", "-bb", str(spec)]
        subprocess.run(build, env=self._environment, capture_output=True, check=True)
        install = ["rpm", "--install", "/var/lib/rpmbuild/RPMS/noarch/flock-1-1.noarch.rpm"]
        enter = ["nsenter", "-a", "-r", "-t", str(self._host.init), "env", "HOME=/root"]
        subprocess.run([*enter, *install], capture_output=True, check=True)


def _read(file: Path) -> Sequence[Mapping[str, Any]]:
    return YAML(typ="safe").load(file.read_text()) or [] if file.exists() else []
