"""Installs each built wheel alone and proves that it works without the packages above it.

    scripts/hatch run python .ci/wheels.py dist

Each gets an empty environment. Siblings come from the folder, everything else from PyPI. Then all its modules are
imported and the examples of its README run; exactly the siblings below it may be there. What belongs to an extra is
imported afterwards, with the extra.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.workspace.readme import python_examples  # noqa: E402 (found by the line above)

GROUND = {"atex-fmf", "atex-provision", "atex-sut-agent"}
BELOW: dict[str, set[str]] = {
    "atex-fmf": set(),
    "atex-provision": set(),
    "atex-sut-agent": set(),
    "atex-executor": GROUND,
    "atex-orchestrator": GROUND | {"atex-executor"},
    "atex-cli": GROUND | {"atex-executor", "atex-orchestrator"},
}
EXTRAS = {
    "atex-provision": {"testing": "atex_provision.testing"}
}  # what is there only with an extra
LIMIT = 300  # seconds for any single command

# Runs in the new environment, with the modules to leave out; prints the distributions that it has.
PROBE = """
import importlib.metadata, importlib.resources, pkgutil, sys
name, *left_out = sys.argv[1:]
package = importlib.import_module(name)
assert package.__version__ == importlib.metadata.version(name), "two versions"
assert (importlib.resources.files(name) / "py.typed").is_file(), "no py.typed"
for module in pkgutil.walk_packages(package.__path__, f"{name}."):
    if not module.name.endswith("__main__") and module.name not in left_out:
        importlib.import_module(module.name)
print(*(distribution.name.lower() for distribution in importlib.metadata.distributions()))
"""


def main(dist: Path) -> None:
    """Exits with the reason if a wheel is missing or needs more than it says."""
    wheels = {path.name.partition("-")[0].replace("_", "-"): path for path in dist.glob("*.whl")}
    if wheels.keys() != BELOW.keys():
        sys.exit(f"{dist} should hold one wheel each of {sorted(BELOW)}, it has {sorted(wheels)}")
    for package in BELOW:
        with tempfile.TemporaryDirectory(prefix=f"{package}-alone-") as folder:
            prove(package, wheels, Path(folder))


def prove(package: str, wheels: dict[str, Path], folder: Path) -> None:
    """Exits with the reason if the wheel of this package does not work alone."""
    python = new_environment(folder)
    install(python, package, wheels, folder)
    extras = EXTRAS.get(package, {})
    probe: list[str | Path] = [python, "-I", "-c", PROBE, package.replace("-", "_")]
    installed = set(run([*probe, *extras.values()], folder).split())
    ours = installed & BELOW.keys()
    if ours != BELOW[package] | {package}:
        sys.exit(f"{package} alone brings {sorted(ours)}; below it are {sorted(BELOW[package])}")
    if ("click" in installed) != (package == "atex-cli"):
        sys.exit(f"{package} alone: click belongs to atex-cli only")
    if ("fmf" in installed) != ("atex-fmf" in ours):
        sys.exit(f"{package} alone: fmf belongs to atex-fmf only")
    (folder / "examples").symlink_to(ROOT / "examples")
    for example in python_examples(ROOT / "packages" / package / "README.md"):
        run([python, "-I", "-c", example], folder)
    for extra in extras:
        install(python, f"{package}[{extra}]", wheels, folder)
        run(probe, folder)
    if package == "atex-cli":
        print(run([python.with_name("atex"), "--version"], folder).strip())
    print(f"{package}: works with {', '.join(sorted(ours - {package})) or 'nothing else of ours'}")


def new_environment(folder: Path) -> Path:
    """Makes an empty environment below the folder and returns its Python."""
    uv = os.environ["HATCH_UV"]  # hatch's own
    run([uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"], folder)
    return folder / "venv" / "bin" / "python"


def install(python: Path, package: str, wheels: dict[str, Path], folder: Path) -> None:
    """Installs the package into the environment of this Python."""
    uv = os.environ["HATCH_UV"]
    # Constrained to the files, so that nobody's package of the same name on PyPI can take a sibling's place.
    siblings = folder / "siblings.txt"
    siblings.write_text(
        "".join(f"{name} @ {path.resolve().as_uri()}\n" for name, path in wheels.items())
    )
    run(
        [uv, "pip", "install", "--quiet", "--python", python, "--constraint", siblings, package],
        folder,
    )


def run(command: Sequence[str | Path], folder: Path) -> str:
    """Returns what the command prints; exits with that if it fails."""
    ended = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    if ended.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {ended.returncode}\n{ended.stdout}")
    return ended.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
