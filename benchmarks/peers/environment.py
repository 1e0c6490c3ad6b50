"""Virtual environments for the peers, made once and kept in the user's cache."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INSTALL_LIMIT = 300.0  # seconds


class PeerMissing(Exception):
    """A peer can not be had on this machine; the message says why."""


@contextmanager
def if_available() -> Iterator[None]:
    """Leave out, and say so, what needs a peer that is missing."""
    try:
        yield
    except PeerMissing as error:
        print(f"left out: {error}")


def peer_python(requirement: str, *, at_least: tuple[int, int] = (3, 11)) -> Path:
    """Return the interpreter of an environment in which `requirement` is installed from PyPI.

    Raises PeerMissing where no Python is new enough or the installation fails.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "atex-benchmarks" / requirement.replace("==", "-")
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run(requirement, [_newest_python(at_least), "-m", "venv", str(folder)])
        _run(requirement, [str(python), "-m", "pip", "install", "--quiet", requirement])
        (folder / "complete").touch()
    return python


def _run(requirement: str, command: list[str]) -> None:
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_LIMIT, check=True)
    except subprocess.CalledProcessError as error:
        raise PeerMissing(f"{requirement}: {error.stderr.strip()[-500:]}") from error
    except subprocess.TimeoutExpired as error:
        raise PeerMissing(f"{requirement}: {error}") from error


def _newest_python(at_least: tuple[int, int]) -> str:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for minor in range(19, at_least[1] - 1, -1):
        on_path = shutil.which(f"python3.{minor}")
        candidates = [on_path] if on_path else []
        candidates += [str(path) for path in pyenv.glob(f"3.{minor}.*/bin/python3")]
        for candidate in candidates:
            if _has_venv(candidate):
                return candidate
    raise PeerMissing(f"no Python >= {at_least[0]}.{at_least[1]} with venv and ssl here")


def _has_venv(python: str) -> bool:
    try:
        subprocess.run(
            [python, "-c", "import ensurepip, ssl, venv"],
            capture_output=True,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True
