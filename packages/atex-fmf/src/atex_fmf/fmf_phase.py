"""Phases of discover with `how: fmf`: tests of a tree."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from .filters import Condition, Filter
from .found import Found
from .link import read_links
from .node import Keys
from .select import Selection, select
from .source import SOURCE_KEYS, Source, Trees
from .step import refuse_other_keys

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


def fmf_tests(phase: Keys, source: Source, trees: Trees) -> list[Found]:
    """The tests that a phase selects, in the order to run them. Raises MetadataError and TreeError."""
    refuse_other_keys(phase, _KEYS)
    selection = Selection(
        filters=[Filter(expression, phase) for expression in phase.strings("filter")],
        conditions=[Condition(expression, phase) for expression in phase.strings("condition")],
        links=read_links(phase),
        included=phase.patterns("include"),
        excluded=phase.patterns("exclude"),
    )
    names = _names(phase)
    rules = [rule.data for rule in phase.mappings("adjust-tests")]
    if any(name.rule for name in names):
        nodes = [
            node
            for pattern, rule in names
            for node in select(
                trees.at(source, [*rules, *([rule] if rule else [])]).nodes,
                replace(selection, names=[pattern]),
            )
        ]
    else:
        patterns = [name.pattern for name in names]
        nodes = select(trees.at(source, rules).nodes, replace(selection, names=patterns))
    return [Found(node.name, node, source, node.folder) for node in nodes]


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
