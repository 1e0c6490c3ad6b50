"""docs/specification.md names tests that exist, and reasons where there are none."""

import ast
import re

from tests.workspace.readme import ROOT

PAGE = (ROOT / "docs" / "specification.md").read_text()
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def rows() -> list[tuple[str, str]]:
    """Each sentence, and what is said to hold it."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    cells = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in lines]
    assert all(len(row) == 2 for row in cells), [row for row in cells if len(row) != 2]
    return [(sentence, held) for sentence, held in cells if sentence != "what it asks for"]


def test_every_sentence_has_a_test_or_a_reason() -> None:
    bare = [
        sentence
        for sentence, held in rows()
        if not NAMED.search(held) and not re.match(r"\*No test\*.{10}", held)
    ]
    assert not bare


def test_the_tests_that_it_names_are_there() -> None:
    named = set(NAMED.findall(PAGE))
    assert len(named) > 100
    missing = [f"{path}::{name}" for path, name in sorted(named) if name not in functions(path)]
    assert not missing


def functions(path: str) -> set[str]:
    """The tests at the top of a file below tests/, and the suites that it runs; none where it is not there."""
    file = ROOT / "tests" / path
    if not file.exists():
        return set()
    tree = ast.parse(file.read_text())
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in tree.body:  # TestLimit = LimitMachine.TestCase: what hypothesis makes of a model
        if isinstance(node, ast.Assign) and ast.unparse(node.value).endswith(".TestCase"):
            found |= {ast.unparse(target) for target in node.targets}
    return {name for name in found if name.lower().startswith("test")}
