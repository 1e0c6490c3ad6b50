"""docs/results.md says what is so."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

from atex_executor import layout
from atex_executor.records import RUNNER_KEYS

from tests.workspace.readme import ROOT, python_examples

PAGE = ROOT / "docs" / "results.md"


def test_the_example_reads_a_run_folder_that_is_still_written(tmp_path: Path) -> None:
    (example,) = python_examples(PAGE)
    attempts = [("a", 1, "fail"), ("a", 2, "pass"), ("b", 1, "pass"), ("c", 1, "infra")]
    lines = [
        json.dumps({"platform": "p", "serial": ord(test), "attempt": attempt, "status": status})
        for test, attempt, status in attempts
    ]
    final = "".join(f'{line[:-1]}, "final": true}}\n' for line in lines)
    (tmp_path / "results.jsonl").write_text(f'{final}{{"n": 1}}\n{{"torn')
    ended = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "Counter({'pass': 2, 'infra': 1})\n"


def test_names_turn_back_as_it_says() -> None:
    for name in ("plain", "100%", "a/b:c", "..", "ends.", "@1.1", "é\n", 'x*?"<>|\\'):
        folder = layout.subtest_folder("t", name).removeprefix("t/subtests/")
        assert unquote(folder) == name


def test_the_keys_of_the_runner_are_named() -> None:
    page = PAGE.read_text()
    assert all(f"`{key}`" in page for key in RUNNER_KEYS)
