"""Says all that is wrong with a tree at once: what discovery would refuse one thing at a time, what
it would pass over, and what it would never come to.

What is right is not known here: the tree is read as `discover()` reads it. What an error is about is
taken away, and the rest is read again, until there is no further error.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Any

from .context import as_lists
from .discover import read_plan_and_tests
from .errors import MetadataError, TreeError
from .files import broken_files
from .finding import Finding, Findings
from .found import Found
from .known_keys import IN_PLANS, IN_TESTS, unknown_keys
from .model import DEFAULT_ORDER
from .node import Node
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
        tests = [node for node in tree.nodes if is_test(node) and node.get("manual") is not True]
        for test in tests:
            _look_at_test(test, tree.root, findings)
            if remark := odd_name(test.name):
                findings.add(test.error(remark), remark=True)
        selected = _look_at_plans(tree, findings)
        for test in tests:
            if selected is not None and test.name not in selected and _is_enabled(test):
                findings.add(test.error("no plan selects this test"))
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


def _is_enabled(node: Node) -> bool:
    return node.get("enabled", True) is not False


def _look_at_test(test: Node, root: str, findings: Findings) -> None:
    def read() -> None:
        test.boolean("enabled", True)
        test.boolean("manual", False)
        test.integer("order", DEFAULT_ORDER)
        read_test(Found(test.name, test, Source("", root), test.folder))

    _look_at_keys(test, IN_TESTS | IN_PLANS if is_plan(test) else IN_TESTS, findings)
    for error in _errors(read, {test.name: test}):
        findings.add(error)
    for key in ignored_by_test(test):
        findings.add(test.error(f"{key} is ignored", key=key), remark=True)
    for key, sentence in other_verdicts(test).items():
        findings.add(test.error(sentence, key=key), remark=True)


def _look_at_plans(tree: Tree, findings: Findings) -> set[str] | None:
    """The names of the tests that plans select; None where there is no plan, or one is refused."""
    nodes = {node.name: node for node in tree.nodes}
    plans = [node for node in tree.nodes if is_plan(node)]
    selections = [_look_at_plan(plan, tree, nodes, findings) for plan in plans]
    enabled = [names for plan, names in zip(plans, selections, strict=True) if _is_enabled(plan)]
    known = [names for names in enabled if names is not None]
    return set().union(*known) if enabled and known == enabled else None


def _look_at_plan(
    plan: Node, tree: Tree, nodes: Mapping[str, Node], findings: Findings
) -> set[str] | None:
    """The names of the tests of this tree that a plan selects; None if it is refused."""
    found: list[Found] = []

    def read() -> None:
        plan.boolean("enabled", True)
        found[:] = read_plan_and_tests(tree, plan)[1]
        for test in found:
            if test.keys is not nodes.get(test.keys.name):  # in the plan, or of another tree
                read_test(test)

    _look_at_keys(plan, IN_PLANS | IN_TESTS if is_test(plan) else IN_PLANS, findings)
    errors = list(_errors(read, nodes))
    for error in errors:
        findings.add(error if error.file else plan.error(error.problem, key="discover"))
    for keys, key in ignored_by_plan(plan):
        findings.add(keys.error(f"{key} is ignored", key=key), remark=True)
    return None if errors else {test.keys.name for test in found if not test.source.name}


def _look_at_keys(node: Node, known: Set[str], findings: Findings) -> None:
    for key, meant in unknown_keys(node, known):
        hint = f"; is it {meant}?" if meant else ""
        findings.add(node.error(f"{key} is no key that tmt or ATEX knows{hint}", key=key))


def _errors(
    read: Callable[[], object], nodes: Mapping[str, Node]
) -> Iterator[MetadataError | TreeError]:
    """All that `read` raises, by and by: the key that an error is about is taken from its node."""
    while True:
        try:
            read()
            return
        except MetadataError as error:
            yield error
            node = nodes.get(error.name)
            if node is None or not _take(error.path, node.data):
                return
        except TreeError as error:
            yield error
            return


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
