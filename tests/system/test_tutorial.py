"""The tutorial, followed to the letter."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()
TIMES = re.compile(r"\d+\.\d\d s")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_tutorial(tmp_path: Path, own_home: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def shell(command: str) -> tuple[int, str]:
        done = subprocess.run(
            command,
            shell=True,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, TIMES.sub("", done.stdout)

    make, chmod, look = re.findall(r"^    ((?:mkdir|chmod|grep) .*)$", PAGE, re.MULTILINE)
    listing, summary = (TIMES.sub("", block) for block in blocks("text"))
    tests, plan = blocks("yaml")
    (tools,) = blocks("bash")
    (script,) = blocks("python")

    assert shell(make) == (0, "")
    (tmp_path / "demo/tests/main.fmf").write_text(tests)
    (tmp_path / "demo/plan.fmf").write_text(plan)
    (tmp_path / "demo/tests/tools.sh").write_text(tools)
    assert shell(chmod) == (0, "")
    assert shell("atex ls demo") == (0, listing)
    assert shell("atex run demo --on local --output demo-run") == (1, summary)
    code, found = shell(look)
    assert (code, found.count("\n")) == (0, 3)
    (tmp_path / "script.py").write_text(script)
    assert shell("python script.py") == (0, "/tests/wrong ended as fail after 0 seconds\n")
