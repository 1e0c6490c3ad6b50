"""What the READMEs show works: each Python example runs as it stands."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.workspace.readme import ROOT, python_examples

READMES = [ROOT / "README.md", *sorted(ROOT.glob("packages/*/README.md"))]
LIMIT = 120  # seconds


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_examples_run(readme: Path, tmp_path: Path) -> None:
    examples = python_examples(readme)
    assert examples, f"{readme} shows no Python"
    (tmp_path / "examples").symlink_to(
        ROOT / "examples"
    )  # as in a checkout, but results fall elsewhere
    for number, example in enumerate(examples, start=1):
        script = tmp_path / f"example-{number}.py"
        script.write_text(example)
        ended = subprocess.run(
            [sys.executable, script],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert ended.returncode == 0, f"example {number} of {readme}:\n{example}\n{ended.stdout}"
