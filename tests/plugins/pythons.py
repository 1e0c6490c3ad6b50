"""The Pythons that a machine under test may have: the fixture `agent_python`."""

import functools
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

OLDEST = 6  # the minor version of the oldest Python 3 that the agent runs on


@pytest.fixture(scope="session", params=["oldest", "newest"])
def agent_python(request: pytest.FixtureRequest) -> str:
    """The path of a CPython: 3.6, which is the oldest one for the agent, and the newest found on this machine."""
    if request.param == "oldest":
        python = find_python(OLDEST)
        where = "in PATH, in /usr/bin, or below ~/.pyenv/versions"
        return python or pytest.skip(f"needs CPython 3.{OLDEST} (the agent's oldest) {where}")
    minors = sorted({minor for minor, _ in _candidates() if minor >= OLDEST}, reverse=True)
    return next(filter(None, map(find_python, minors)), None) or pytest.skip("needs a CPython")


@functools.cache
def find_python(minor: int) -> str | None:
    """The path of a CPython 3.`minor` that answers, None if there is none.

    Asked, because pyenv has shims in PATH also for versions that are not active.
    """
    question = "import platform, sys; print(platform.python_implementation(), sys.version_info[1], sys.executable)"
    for candidate, path in _candidates():
        if candidate != minor:
            continue
        answer = subprocess.run(
            [path, "-c", question], capture_output=True, text=True, check=False, timeout=30
        ).stdout.split(maxsplit=2)
        if answer[:2] == ["CPython", str(minor)]:
            return answer[2].strip()
    return None


def _candidates() -> Iterator[tuple[int, Path]]:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders = [
        *(pyenv / "versions").glob("*/bin"),
        *(Path(folder) for folder in os.get_exec_path() if folder),
        Path("/usr/bin"),
    ]
    for folder in folders:
        for path in folder.glob("python3.*"):
            if found := re.fullmatch(r"python3\.(\d+)", path.name):
                yield int(found[1]), path
