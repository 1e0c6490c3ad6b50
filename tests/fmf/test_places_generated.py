"""Any value that fmf took as it stands is found where it stands: in trees of files, virtual nodes,
merged keys, rules and phases, where no two values are alike."""

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atex_fmf.places import Places
from atex_fmf.tree import read_tree
from hypothesis import given, settings
from hypothesis import strategies as st

Content = dict[str, Any]

KEYS = st.sampled_from(["x", "y"])
VALUE = st.none()  # to be made unique
PHASE = st.dictionaries(KEYS, VALUE, min_size=1)
SETTINGS = st.one_of(
    st.tuples(KEYS, VALUE),
    st.tuples(st.sampled_from(["map", "map+"]), PHASE),
    st.tuples(st.sampled_from(["list", "list+"]), st.lists(PHASE, min_size=1, max_size=2)),
)
RULE = st.tuples(st.sampled_from(["true", "a == b", "a == c"]), st.lists(SETTINGS, max_size=2))
NODE = st.tuples(
    st.lists(SETTINGS, max_size=3),
    st.tuples(st.sampled_from(["adjust", "adjust+"]), st.lists(RULE, max_size=2)),
)
FILES = st.dictionaries(
    st.sampled_from(["main.fmf", "a.fmf", "a/main.fmf", "a/b.fmf", "b.fmf", "b/main.fmf"]),
    st.dictionaries(st.sampled_from(["", "/a", "/b", "/a/b", "/b/a"]), NODE, min_size=1),
    min_size=1,
)


@settings(max_examples=30, deadline=None)
@given(files=FILES)
def test_a_value_is_found_where_it_stands(files: dict[str, dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        numbers = itertools.count(1000)
        write(root / ".fmf/version", "1\n")
        for name, nodes in files.items():
            write(root / name, "".join(lines(nodes, numbers)))
        tree = read_tree(root, {"a": ["b"]})
        places = Places(tree.root)
        for node in tree.nodes:
            for path, value in values(node.data):
                if path[0] != "adjust":
                    place = places.find(node.name, node.data, path)
                    assert place is not None
                    line = Path(place.file).read_text().splitlines()[place.line - 1]
                    assert line.endswith(f": {value}"), (node.name, path)


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def lines(nodes: dict[str, Any], numbers: Iterator[int]) -> Iterator[str]:
    for name, (settings_, (adjust, rules)) in nodes.items():
        indent = "  " if name else ""
        if name:
            yield f"{name}:\n"
        yield from settings_lines(settings_, numbers, indent)
        if rules:
            yield f"{indent}{adjust}:\n"
        for when, changes in rules:
            yield f"{indent}- when: {when}\n"
            yield from settings_lines(changes, numbers, f"{indent}  ")
        yield f"{indent}last: {next(numbers)}\n"


def settings_lines(settings_: list[Any], numbers: Iterator[int], indent: str) -> Iterator[str]:
    for key, content in dict(settings_).items():
        if content is None:
            yield f"{indent}{key}: {next(numbers)}\n"
        elif isinstance(content, dict):
            yield f"{indent}{key}:\n"
            yield from settings_lines(list(content.items()), numbers, f"{indent}  ")
        else:
            yield f"{indent}{key}:\n"
            for phase in content:
                yield f"{indent}- first: {next(numbers)}\n"
                yield from settings_lines(list(phase.items()), numbers, f"{indent}  ")


def values(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], int]]:
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for step, value in items:
        if isinstance(value, dict | list):
            yield from values(value, (*path, step))
        elif isinstance(value, int):
            yield (*path, step), value
