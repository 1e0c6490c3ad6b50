"""The examples in docs/ for test authors do what the page says, as tests on this machine."""

import json
import re
from pathlib import Path

import pytest
from atex_executor import Executor, FolderSink
from atex_fmf import Suite, Test
from atex_provision import LocalConnection

PAGE = Path(__file__).parent.parent.parent / "docs" / "control-file.md"


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("language", "script", "names", "file"),
    [
        ("bash", "{example}", ["kernel/version", "kernel/name"], "uname.txt"),
        ("python", "python3 - <<'END'\n{example}END", ["parse"], "parse.log"),
    ],
)
def test_the_control_file_page_shows_what_works(
    tmp_path: Path, language: str, script: str, names: list[str], file: str
) -> None:
    (example,) = examples(language)
    test = Test(name="/documented", test=script.format(example=example))
    (tmp_path / "tree").mkdir()
    suite = Suite(root=str(tmp_path / "tree"), tests=(test,))
    with (
        FolderSink(tmp_path / "run") as sink,
        LocalConnection() as connection,
        Executor(connection, suite) as executor,
    ):
        outcome = executor.run(suite.tests[0], sink)
    assert (outcome.status, outcome.note) == ("pass", None)
    *results, final = map(json.loads, (tmp_path / "run" / "results.jsonl").read_text().splitlines())
    assert final["final"]
    assert [result["name"] for result in results] == names
    (path,) = results[-1]["files"]
    assert path.endswith(file)
    assert (tmp_path / "run" / "files" / path).stat().st_size > 0
