"""Says what is ignored: keys that mean something to tmt, were selected, and have no effect here."""

from collections import Counter
from collections.abc import Iterable

from .context import Context
from .dimensions import missing_in_phases
from .found import Found
from .known_keys import IGNORED_IN_PLANS, IGNORED_IN_TESTS, IN_EXECUTE
from .node import Keys, Node
from .tree import Tree


def missing_dimensions(
    plan: Node | None, context: Context, asked: Iterable[tuple[Tree, Iterable[Node]]]
) -> list[str]:
    """A sentence for all dimensions that nobody gave and that rules ask for: those of the plan, and of
    these nodes of these trees. `context` is that of the plan's tests."""
    missing = set() if plan is None else missing_in_phases(plan, context)
    for tree, nodes in asked:
        missing |= tree.undecided.missing(node.name for node in nodes)
    if not missing:
        return []
    them = "them" if len(missing) > 1 else "it"
    said = f"the context has no {', '.join(sorted(missing))}: rules that ask for {them} are skipped"
    return [f"{said}, and other tests may be selected than were meant"]


def ignored_by_plan(plan: Keys) -> list[tuple[Keys, str]]:
    """The keys that have no effect, of a plan and of its step `execute`. Raises MetadataError."""
    ignored = [(plan, key) for key in IGNORED_IN_PLANS if plan.get(key) is not None]
    for execute in plan.mappings("execute"):
        ignored += [(execute, key) for key in execute.data if key not in IN_EXECUTE]
    return ignored


def ignored_by_test(test: Keys) -> list[str]:
    """The keys of a test that have no effect."""
    return [key for key in IGNORED_IN_TESTS if test.get(key) is not None]


def other_verdicts(test: Keys) -> dict[str, str]:
    """The keys of a test by which its verdict can differ from tmt's, and how it is found instead."""
    framework, result = test.get("framework", "shell"), test.get("result", "respect")
    sentences = {}
    if framework != "shell":
        but = " but for `set -e`, which it does not have" if framework == "beakerlib" else ""
        sentences["framework"] = (
            f"framework {framework} is ignored{but}: the verdict comes from the results it sends, "
            "or from its exit code"
        )
    if result != "respect":
        sentences["result"] = f"result {result} is ignored: a failure is a failure"
    return sentences


def plan_notices(plan: Node) -> list[str]:
    """A sentence for all keys of the plan that are ignored."""
    ignored = [key if keys is plan else f"execute.{key}" for keys, key in ignored_by_plan(plan)]
    return [f"{plan.name}: ignored keys: {', '.join(ignored)}"] if ignored else []


def test_notices(tests: Iterable[Found]) -> list[str]:
    """A sentence for all keys that are ignored, and one for each test whose verdict can differ
    from tmt's."""
    unique = {test.name: test.keys for test in tests}
    verdicts = [
        f"{name}: {sentence}"
        for name, keys in unique.items()
        for sentence in other_verdicts(keys).values()
    ]
    return _ignored(unique.values()) + verdicts


def _ignored(tests: Iterable[Keys]) -> list[str]:
    found = Counter(key for test in tests for key in ignored_by_test(test))
    counts = ", ".join(f"{key} ({found[key]})" for key in IGNORED_IN_TESTS if found[key])
    return [f"ignored keys of tests, and how many tests have them: {counts}"] if counts else []
