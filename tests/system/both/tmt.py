"""The real `tmt run`, on a light host."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from ruamel.yaml import YAML

from tests.machines import LightHost

LIMIT = 300.0  # seconds for a run of tmt; a few, where nothing else is going on

# tmt looks every 30 seconds whether ssh is connected or a machine is back; here it looks more often, and that is all.
TMT = """\
import functools, sys, tmt.utils.wait
waiting = tmt.utils.wait.Waiting
waiting.__init__ = functools.partialmethod(waiting.__init__, tick=0.1)
sys.argv[0] = "tmt"
from tmt.__main__ import run_cli
run_cli()
"""


class TmtRun(msgspec.Struct, frozen=True):
    """What became of a `tmt run`."""

    code: int
    out: str
    """What it printed, and its log."""

    tests: Sequence[Mapping[str, Any]]
    """What was discovered, in order."""

    results: Sequence[Mapping[str, Any]]


class Tmt:
    """Calls `tmt` for one light host; all that tmt writes on this box is in `folder`, and HOME."""

    def __init__(self, host: LightHost, folder: Path, environment: Mapping[str, str]) -> None:
        self._host = host
        self._folder = folder
        self._environment = {
            **environment,
            "TMPDIR": str(folder),
            "TMT_WORKDIR_ROOT": str(folder / "runs"),
            "TMT_SCRIPTS_DIR": "/var/tmp/tmt-scripts",  # on the host; /usr is not its own
        }

    def run(self, tree: Path, plan: str, *options: str, context: Sequence[str] = ()) -> TmtRun:
        """Run a plan of the tree, from there; `options` are those of `tmt run`, `context` of tmt itself."""
        run = self._folder / "run"
        host = ["--how", "connect", "--guest", self._host.address, "--user", self._host.user]
        words = [*context, "run", "--all", "--scratch", "--id", str(run), *options]
        words += ["provision", *host, "--key", str(self._host.identity)]
        words += ["plan", "--name", f"^{plan}$"]
        done = subprocess.run(
            [sys.executable, "-P", "-c", TMT, *words],
            cwd=tree,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        steps = run / plan.strip("/")
        tests, results = _read(steps / "discover/tests.yaml"), _read(steps / "execute/results.yaml")
        return TmtRun(done.returncode, done.stdout, tests, results)


def _read(file: Path) -> Sequence[Mapping[str, Any]]:
    return YAML(typ="safe").load(file.read_text()) or [] if file.exists() else []
