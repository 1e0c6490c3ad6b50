"""Says all that is wrong with a tree at once: what discovery would refuse one thing at a time, what
it would pass over, and what it would never come to.

What is right is not known here: the tree is read as `discover()` reads it. What an error is about is
taken away, and the rest is read again, until there is no further error.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial
from types import MappingProxyType
from typing import Any

from .context import as_lists
from .discover import read_plan_and_tests
from .errors import MetadataError, TreeError
from .files import broken_files
from .finding import Finding, Findings
from .found import Found
from .known_keys import alike, unknown_keys
from .model import DEFAULT_ORDER
from .node import Keys, Node
from .notices import ignored_by_plan, ignored_by_test, other_verdicts
from .places import Path
from .plan import is_plan
from .read_test import read_test
from .select import is_test
from .source import Source
from .tree import Tree, read_tree

_NO_CONTEXT: Mapping[str, str | Sequence[str]] = MappingProxyType({})


def lint(
    root: str | os.PathLike[str] = ".",
    *,
    context: Mapping[str, str | Sequence[str]] = _NO_CONTEXT,
    odd_name: Callable[[str], str] = lambda name: "",
) -> list[Finding]:
    """All findings in the tree that the folder `root` is in, adjusted to the context, by file and line.

    All plans and tests are looked at, also those that are disabled. `odd_name` says what there is to
    remark on the name of a test, or "". Like `discover()` it may fetch repositories that plans ask for.

    Raises TreeError where there is no tree, or where folders of it cannot be read.
    """
    findings = Findings()
    tree = _read(root, context, findings)
    if tree is not None:
        _Look(tree, odd_name, findings).at_everything()
    return findings.all()


def _read(
    root: str | os.PathLike[str],
    context: Mapping[str, str | Sequence[str]],
    findings: Findings,
) -> Tree | None:
    """The tree without the rules that cannot be applied; None where it cannot be read at all."""
    try:
        return read_tree(root, as_lists(context), tolerate=findings.add)
    except MetadataError as error:  # a merge while inheriting
        findings.add(error)
    except TreeError as error:
        if not error.file:
            raise
        for broken in broken_files(root) or [error]:
            findings.add(broken)
    return None


class _Look:
    """At the tests and plans of a tree."""

    def __init__(self, tree: Tree, odd_name: Callable[[str], str], findings: Findings) -> None:
        self._tree = tree
        self._nodes = {node.name: node for node in tree.nodes}
        self._odd_name = odd_name
        self._findings = findings

    def at_everything(self) -> None:
        own = Source("", self._tree.root)
        tests = [node for node in self._tree.nodes if is_test(node) and not _is(node, "manual")]
        for node in tests:
            test = Found(node.name, node, own, node.folder)
            self._read_all(node, partial(_read_test, test))
            self._at_test(test)
        plans = [node for node in self._tree.nodes if is_plan(node)]
        selections = [(plan, self._at_plan(plan)) for plan in plans]
        selected = [names for plan, names in selections if _is(plan, "enabled", default=True)]
        if selected and None not in selected:
            self._at_selection(tests, set().union(*filter(None, selected)))

    def _at_selection(self, tests: Iterable[Node], selected: Set[str]) -> None:
        for test in tests:
            if test.name not in selected and _is(test, "enabled", default=True):
                self._findings.add(test.error("no plan selects this test"))

    def _at_plan(self, plan: Node) -> set[str] | None:
        """The names of the tests of this tree that a plan selects; None if it is refused."""
        found: list[Found] = []

        def read() -> None:
            plan.boolean("enabled", True)
            found[:] = read_plan_and_tests(self._tree, plan)[1]
            for test in found:
                if not isinstance(test.keys, Node):  # it stands in the plan
                    _read_test(test)

        good = self._read_all(plan, read)
        for test in found:
            if not isinstance(test.keys, Node):
                self._at_test(test)
            elif test.keys is not self._nodes.get(test.keys.name):  # another tree, or context
                self._read_all(test.keys, partial(_read_test, test))
        self._at_keys(plan)
        for keys, key in ignored_by_plan(plan):
            self._remark(keys, f"{key} is ignored", key)
        return {test.keys.name for test in found if not test.source.name} if good else None

    def _at_test(self, test: Found) -> None:
        """At what is wrong with a test though discovery takes it."""
        self._at_keys(test.keys)
        for key in ignored_by_test(test.keys):
            self._remark(test.keys, f"{key} is ignored", key)
        for key, sentence in other_verdicts(test.keys).items():
            self._remark(test.keys, sentence, key)
        if odd := self._odd_name(test.name):
            self._remark(test.keys, odd)

    def _at_keys(self, keys: Keys) -> None:
        for key in unknown_keys(keys):
            meant = alike(key, keys)
            hint = f"; is it {meant}?" if meant else ""
            self._findings.add(keys.error(f"{key} is no key that tmt or ATEX knows{hint}", key=key))

    def _remark(self, keys: Keys, problem: str, key: str | Path = ()) -> None:
        self._findings.add(keys.error(problem, key=key), remark=True)

    def _read_all(self, node: Node, read: Callable[[], object]) -> bool:
        """Finds all that reading a test or plan raises, and says whether that is nothing: the key that
        an error is about is taken from its node, and the rest read again."""
        taken: set[tuple[str, Path]] = set()
        while True:
            try:
                read()
                return not taken
            except MetadataError as error:
                if (error.name, error.path) in taken:  # that something is missing now
                    return False
                self._findings.add(error)
                wrong = node if error.name == node.name else self._nodes.get(error.name)
                if wrong is None or not _take(error.path, wrong.data):
                    return False
                taken.add((error.name, error.path[:-1]))
            except TreeError as error:  # another tree, of a phase of discover
                placed = error if error.file else node.error(error.problem, key="discover")
                self._findings.add(placed)
                return False


def _read_test(test: Found) -> None:
    """What discovery reads of a test that it selects. Raises MetadataError."""
    test.keys.boolean("enabled", True)
    test.keys.boolean("manual", False)
    test.keys.integer("order", DEFAULT_ORDER)
    read_test(test)


def _is(node: Node, key: str, *, default: bool = False) -> bool:
    """What a key says, whose value need not be of the right type."""
    return node.data.get(key, default) is True


def _take(path: Path, data: Any) -> bool:
    """Removes what a path leads to, and says whether there was anything."""
    if not path:
        return False
    *outer, last = path
    try:
        for step in outer:
            data = data[step]
        del data[last]
    except (LookupError, TypeError):
        return False
    return True
