"""The fixture `agent_python`."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins import pythons


@pytest.fixture
def home_of_pythons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pyenv that holds nothing yet, and a PATH without Python."""
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    folder = tmp_path / "versions" / "3.99.1" / "bin"
    folder.mkdir(parents=True)
    pythons.find_python.cache_clear()
    return folder


def test_gives_a_python_that_the_agent_must_run_on(agent_python: str) -> None:
    question = [agent_python, "-c", "import sys; print(sys.version_info >= (3, 6))"]
    assert subprocess.run(question, capture_output=True, check=True).stdout == b"True\n"


def test_finds_the_python_that_runs_this() -> None:
    found = pythons.find_python(sys.version_info.minor)
    assert found is not None
    assert Path(found).exists()


def test_does_not_believe_a_name(home_of_pythons: Path) -> None:
    """A shim of pyenv has the name of a Python that may not be there."""
    shim = home_of_pythons / "python3.99"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.99: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    assert pythons.find_python(99) is None
