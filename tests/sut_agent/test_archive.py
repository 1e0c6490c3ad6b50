"""The archive: the same sources give the same bytes, and every Python finds what it needs in it."""

import ast
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import atex_sut_agent
from atex_sut_agent import agent_archive

SOURCES = Path(atex_sut_agent.__file__).parent / "sut"


def carried() -> dict[str, str]:
    """The sources in the archive, which is one module that imports the others from itself."""
    with zipfile.ZipFile(io.BytesIO(agent_archive().data)) as archive:
        assert archive.namelist() == ["__main__.py"]
        (statement,) = (
            line for line in archive.read("__main__.py").decode().splitlines() if "{'sut/" in line
        )
    sources = ast.literal_eval(statement[statement.index("{") : statement.rindex("}") + 1])
    assert isinstance(sources, dict)
    return sources


def test_it_holds_the_sources_and_nothing_else() -> None:
    sources = carried()
    files = {str(path.relative_to(SOURCES.parent)) for path in SOURCES.rglob("*.py")}
    assert set(sources) == files - {"sut/carried.py"}
    assert list(sources) == sorted(sources)
    for name, source in sources.items():
        assert source == (SOURCES.parent / name).read_text()


def test_it_is_deterministic(tmp_path: Path) -> None:
    """Packed by another process, at another time, in another zone, it is the same file."""
    target = tmp_path / "agent.pyz"
    printed = subprocess.run(
        [sys.executable, "-m", "atex_sut_agent", "--output", target],
        env={**os.environ, "TZ": "Pacific/Apia", "PYTHONHASHSEED": "7", "LC_ALL": "C"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    archive = agent_archive()
    assert target.read_bytes() == archive.data
    assert printed.strip() == archive.digest == hashlib.sha256(archive.data).hexdigest()


def test_it_is_small() -> None:
    assert len(agent_archive().data) < 80 * 1024


def test_it_explains_itself(agent_python: str, tmp_path: Path) -> None:
    target = tmp_path / "agent.pyz"
    target.write_bytes(agent_archive().data)
    run = subprocess.run([agent_python, "-IS", target], capture_output=True, check=False)
    assert run.returncode == 2
    assert b"attach or unpack?" in run.stderr


def test_the_session_is_hexadecimal(agent_python: str, tmp_path: Path) -> None:
    target = tmp_path / "agent.pyz"
    target.write_bytes(agent_archive().data)
    for session in ("x" * 32, "a" * 31, "a" * 33, "../" + "a" * 29, "a" * 32 + "\n"):
        run = subprocess.run(
            [agent_python, "-IS", target, "attach", session, "{}", tmp_path / "w"],
            stderr=subprocess.PIPE,
            check=False,
        )
        assert (run.returncode, run.stderr) == (
            1,
            b"atex agent: a session is named by 32 hexadecimal digits\n",
        )
