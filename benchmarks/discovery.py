"""What discovery takes on a tree of 5,000 tests and 100 plans: beside the fmf library, and `atex ls` beside tmt."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.rounds import side_by_side, start
from benchmarks.table import print_table

AREAS, FOLDERS, TESTS = 50, 20, 5  # 5,000 tests in 1,050 files
PLANS = 100
PLAN = "/plans/area-7"
PLAN_WITH_CONTEXT = (
    "/plans/context"  # of its own, so that tests are adjusted to another one than plans
)
CONTEXT = ("distro=fedora-42", "arch=x86_64")
REPOSITORY = Path(__file__).resolve().parent.parent

AREA = """\
contact: Somebody <somebody@example.com>
component: [area-{area}]
require: [area-{area}, make]
environment: {{AREA: "{area}"}}
adjust:
  - when: distro < rhel-9
    enabled: false
    because: there is no such package
  - when: arch == s390x, ppc64le
    duration+: " *2"
"""
FOLDER = """\
summary: What folder {folder} of area {area} is about
test: ./runtest.sh
duration: 15m
tag: [area, folder-{folder}]
"""
TEST = """\
/case-{test}:
    environment+: {{CASE: "{test}"}}
    tag+: [case-{test}]
    adjust+:
      - when: distro == fedora and arch == x86_64
        recommend: [strace]
"""
PLANS_BASE = """\
discover: {how: fmf}
execute: {how: tmt}
environment: {PLANNED: "yes"}
"""
PLAN_FILE = """\
summary: Area {area}
discover+: {{test: ^/tests/area-{area}/}}
adjust:
  - when: distro == centos-stream
    enabled: false
"""


def main() -> None:
    """Measure all, and print the tables."""
    rounds = start(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        tree = str(write_tree(Path(folder) / "tree"))
        kinds: dict[str, Callable[[], float]] = {
            "ATEX": lambda: _inside("atex", tree, PLAN),
            "ATEX, a plan with a context": lambda: _inside("atex", tree, PLAN_WITH_CONTEXT),
            "fmf alone": lambda: _inside("fmf", tree, PLAN),
        }
        side_by_side(kinds, 1)  # which compiles what is not compiled yet
        print_table("Discovery among 5,000 tests", "s", side_by_side(kinds, rounds))
        options = [word for dimension in CONTEXT for word in ("--context", dimension)]
        commands: dict[str, Callable[[], float]] = {
            "atex ls --plan": lambda: _outside("atex_cli", "ls", tree, "--plan", PLAN, *options),
            "tmt tests ls": lambda: _outside("tmt", "--root", tree, *options, "tests", "ls"),
        }
        print_table("Listing tests, as commands", "s", side_by_side(commands, rounds))


def _inside(kind: str, tree: str, plan: str) -> float:
    """Seconds without those that starting and importing take."""
    module = [sys.executable, "-m", "benchmarks.discovered_once"]
    done = subprocess.run(
        [*module, kind, tree, plan, *CONTEXT], cwd=REPOSITORY, stdout=subprocess.PIPE, check=True
    )
    return float(done.stdout)


def _outside(module: str, *arguments: str) -> float:
    """Seconds of a whole command."""
    command = [sys.executable, "-m", module, *arguments]
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def write_tree(root: Path) -> Path:
    """Make the tree, and return its root."""
    _write(root / ".fmf/version", "1\n")
    for area in range(AREAS):
        top = root / f"tests/area-{area}"
        _write(top / "main.fmf", AREA.format(area=area))
        for folder in range(FOLDERS):
            cases = "".join(TEST.format(test=test) for test in range(TESTS))
            text = FOLDER.format(area=area, folder=folder) + cases
            _write(top / f"folder-{folder}/main.fmf", text)
    _write(root / "plans/main.fmf", PLANS_BASE)
    _write(root / "plans/context.fmf", "context: {variant: Server}\n")
    for plan in range(PLANS - 1):
        _write(root / f"plans/area-{plan}.fmf", PLAN_FILE.format(area=plan))
    return root


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


if __name__ == "__main__":
    main()
