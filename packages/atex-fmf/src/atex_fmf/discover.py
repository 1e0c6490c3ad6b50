"""From a folder to the tests to run."""

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from .context import Context, as_lists, with_context_of
from .environment import variables_of_files, variables_of_plan
from .expand import expanded
from .found import Found
from .model import Plan, Suite
from .node import Node
from .notices import missing_dimensions, plan_notices, test_notices
from .plan import find_plan, read_plan
from .read_test import read_test
from .select import narrow
from .selection import all_tests, selected
from .source import Trees
from .tree import Tree, read_tree

_NOTHING: Mapping[str, str] = MappingProxyType({})


def discover(
    root: str | os.PathLike[str] = ".",
    *,
    plan: str | None = None,
    context: Mapping[str, str | Sequence[str]] = _NOTHING,
    tests: str | Sequence[str] = (),
    environment: Mapping[str, str] = _NOTHING,
    platform_context: Mapping[str, str | Sequence[str]] = _NOTHING,
) -> Suite:
    """Reads the fmf tree that the folder `root` is in, and selects tests as tmt would.

    `plan` is the exact name of a plan. Without it the only enabled plan of the tree decides; if
    there is none, all enabled tests are selected.

    `context` is what `adjust` rules are decided by: `{"distro": "fedora-42", "arch": ["x86_64"]}`.

    `platform_context` is what is known of the machines that are to run the tests. `context` is above it,
    and for tests and phases so is the plan's own, which `context` in turn is above.

    `tests` are regular expressions. Of what the plan selected, in its order, those tests remain
    whose name has a match of one of them anywhere.

    `environment` has variables that the run gives to all tests: a plan may refer to them, as to its own.
    They do not become part of the suite.

    Reads files; writes and copies nothing but the git repositories that a plan asks for, which the fmf
    library caches. Any threads may call it at the same time.

    Raises TreeError, PlanNotFound, AmbiguousPlan, MetadataError or PatternError, all of them
    FmfError. Selecting no test at all is no error.
    """
    given = as_lists(context)
    tree = read_tree(root, {**as_lists(platform_context), **given})
    return _suite_of(tree, find_plan(tree, plan), tests, environment, given)


def _suite_of(
    tree: Tree,
    plan: Node | None,
    tests: str | Sequence[str],
    environment: Mapping[str, str],
    given: Context,
) -> Suite:
    """What `discover()` returns, for one plan of a tree that is read, or for all tests without a plan."""
    read, found, trees = read_plan_and_tests(tree, plan, environment, given)
    found = narrow(found, tests)
    asked = [(used, narrow(nodes, tests)) for used, nodes in trees.asked]
    asked += [] if plan is None else [(tree, [plan])]
    return Suite(
        root=tree.root,
        trees={test.source.name: test.source.folder for test in found if test.source.name},
        tests=tuple(read_test(test) for test in found),
        plan=read,
        notices=(
            *missing_dimensions(plan, trees.context, asked),
            *([] if plan is None else plan_notices(plan)),
            *test_notices(found),
        ),
    )


def read_plan_and_tests(
    tree: Tree,
    plan: Node | None,
    environment: Mapping[str, str] = _NOTHING,
    given: Context | None = None,
) -> tuple[Plan, list[Found], Trees]:
    """What surrounds the tests of a plan, which ones it selects, and the trees that they were found in.

    `given` is the part of the tree's context that is above that of the plan; by default all.

    Raises MetadataError and TreeError.
    """
    context = tree.context
    if plan is not None:
        context = with_context_of(plan, context, context if given is None else given)
    trees = Trees(tree, context)
    if plan is None:
        return Plan(), all_tests(trees), trees
    from_files = variables_of_files(plan, tree.root)
    keys = expanded(plan, {**from_files, **variables_of_plan(plan), **environment}, context)
    return read_plan(keys, from_files, context), selected(keys, trees), trees
