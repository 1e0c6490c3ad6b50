"""Virtual environments for the peers, made once and kept in the user's cache."""

import os
import shutil
import subprocess
from pathlib import Path


class PeerMissing(Exception):
    """A peer can not be had on this machine; the message says why."""


def peer_python(requirement: str, *, at_least: tuple[int, int] = (3, 11)) -> Path:
    """Return the interpreter of an environment in which `requirement` is installed from PyPI.

    Raises PeerMissing where no Python is new enough or the installation fails.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "atex-benchmarks" / requirement.replace("==", "-")
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        for command in (
            [_newest_python(at_least), "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", requirement],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise PeerMissing(f"{requirement}: {done.stderr.strip()[-500:]}")
        (folder / "complete").touch()
    return python


def _newest_python(at_least: tuple[int, int]) -> str:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for minor in range(19, at_least[1] - 1, -1):
        on_path = shutil.which(f"python3.{minor}")
        candidates = [on_path] if on_path else []
        candidates += [str(path) for path in pyenv.glob(f"3.{minor}.*/bin/python3")]
        for candidate in candidates:
            if _has_venv(candidate):
                return candidate
    raise PeerMissing(f"no python >= {at_least[0]}.{at_least[1]} here")


def _has_venv(python: str) -> bool:
    return subprocess.run([python, "-c", "import venv, ssl"], capture_output=True, check=False).returncode == 0
