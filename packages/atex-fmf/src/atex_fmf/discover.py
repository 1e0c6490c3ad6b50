"""From a folder to the tests to run."""

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from .model import Plan, Suite
from .notices import missing_dimensions, plan_notices, test_notices
from .plan import find_plan, read_plan, read_selection
from .read_test import read_test
from .select import Selection, is_test, narrow, select
from .tree import read_tree

_NO_CONTEXT: Mapping[str, str | Sequence[str]] = MappingProxyType({})


def discover(
    root: str | os.PathLike[str] = ".",
    *,
    plan: str | None = None,
    context: Mapping[str, str | Sequence[str]] = _NO_CONTEXT,
    tests: str | Sequence[str] = (),
) -> Suite:
    """Reads the fmf tree that the folder `root` is in, and selects tests as tmt would.

    `plan` is the exact name of a plan. Without it the only enabled plan of the tree decides; if
    there is none, all enabled tests are selected.

    `context` is what `adjust` rules are decided by: `{"distro": "fedora-42", "arch": ["x86_64"]}`.

    `tests` are regular expressions. Of what the plan selected, in its order, those tests remain
    whose name has a match of one of them anywhere.

    Reads files, writes and copies nothing; any threads may call it at the same time.

    Raises TreeError, PlanNotFound, AmbiguousPlan, MetadataError or PatternError, all of them
    FmfError. Selecting no test at all is no error.
    """
    tree = read_tree(root, context)
    chosen = find_plan(tree.nodes, plan)
    selection = Selection() if chosen is None else read_selection(chosen)
    nodes = narrow(select(tree.nodes, selection), tests)
    asked = narrow(filter(is_test, tree.nodes), tests)
    return Suite(
        root=tree.root,
        tests=tuple(read_test(node) for node in nodes),
        plan=Plan() if chosen is None else read_plan(chosen),
        notices=(
            *missing_dimensions(tree, [*([] if chosen is None else [chosen]), *asked]),
            *([] if chosen is None else plan_notices(chosen)),
            *test_notices(nodes),
        ),
    )
