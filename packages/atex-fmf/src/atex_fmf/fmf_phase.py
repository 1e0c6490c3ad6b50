"""Phases of discover with `how: fmf`: tests of a tree."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from .errors import MetadataError
from .filters import Condition, Filter
from .found import Found
from .link import read_links
from .node import Keys, Node
from .select import Patterns, Selection, named, select
from .source import SOURCE_KEYS, Source, Trees, source_of
from .step import StepPhase, refuse_other_keys
from .tree import Rules, Tree

# `prune` is about what tmt copies, and ATEX brings the whole tree to a machine.
_KEYS = SOURCE_KEYS | {
    "adjust-tests",
    "condition",
    "exclude",
    "filter",
    "include",
    "link",
    "prune",
    "require-test",
    "test",
}


class _Name(NamedTuple):
    """An entry of the key `test`."""

    pattern: re.Pattern[str]
    rule: Mapping[str, Any]
    """An adjust rule for the tests it selects; may be empty."""


def fmf_tests(step_phase: StepPhase, trees: Trees) -> list[Found]:
    """The tests that a phase selects, in the order to run them. Raises MetadataError and TreeError."""
    phase = step_phase.keys
    refuse_other_keys(phase, _KEYS)
    source = source_of(step_phase, trees.own)
    if not os.path.isdir(os.path.join(source.root, ".fmf")):
        raise phase.error(f"path: {source.root} is no fmf tree", key="path")
    selection = _selection(phase)
    rules = [rule.data for rule in phase.mappings("adjust-tests")]
    nodes: list[Node] = []
    for patterns, more in _batches(_names(phase)):
        tree = _adjusted(phase, source, trees, [*rules, *more])
        wanted = replace(selection, names=patterns)
        tests = named(tree.nodes, wanted)
        trees.asked.append((tree, tests))
        nodes += select(tests, wanted)
    return [Found(node.name, node, source, node.folder) for node in nodes]


def _selection(phase: Keys) -> Selection:
    """What the phase asks for, but for the key `test`."""
    return Selection(
        filters=[Filter(expression, phase) for expression in phase.strings("filter")],
        conditions=[Condition(expression, phase) for expression in phase.strings("condition")],
        links=read_links(phase),
        included=phase.patterns("include"),
        excluded=phase.patterns("exclude"),
    )


def _adjusted(phase: Keys, source: Source, trees: Trees, rules: Rules) -> Tree:
    try:
        return trees.at(source, rules)
    except MetadataError as error:
        if error.file:
            raise
        raise phase.error(f"a rule for tests: {error.problem}", key="adjust-tests") from error


def _batches(names: Sequence[_Name]) -> list[tuple[Patterns, Rules]]:
    """What to select at once: all, or, as soon as one has a rule of its own, each from its own tree."""
    if not any(name.rule for name in names):
        return [([name.pattern for name in names], [])]
    return [([name.pattern], [name.rule] if name.rule else []) for name in names]


def _names(phase: Keys) -> list[_Name]:
    entries = phase.get("test", [])
    listed = entries if isinstance(entries, list) else [entries]
    return [_name(phase, entry) for entry in listed]


def _name(phase: Keys, entry: Any) -> _Name:
    rule: dict[str, Any] = {}
    if isinstance(entry, dict):
        rule = {key: value for key, value in entry.items() if key != "name"}
        entry = entry.get("name")
    if not isinstance(entry, str):
        raise phase.error("test must be a string, a mapping with a name, or a list", key="test")
    return _Name(phase.pattern("test", entry), rule)
