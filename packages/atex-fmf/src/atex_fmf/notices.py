"""Says what is ignored: keys that mean something to tmt, were selected, and have no effect here."""

from collections import Counter
from collections.abc import Iterable

from .context import Context
from .dimensions import missing_in_phases
from .found import Found
from .known_keys import IGNORED_IN_PLANS, IGNORED_IN_TESTS, IN_EXECUTE, unknown_keys
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
        ignored += [(execute, str(key)) for key in execute.data if key not in IN_EXECUTE]
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
    """A sentence for all keys of the plan that are ignored, and one for those that nobody knows."""
    ignored = [key if keys is plan else f"execute.{key}" for keys, key in ignored_by_plan(plan)]
    listed = {"ignored": ignored, "unknown": unknown_keys(plan)}
    return [f"{plan.name}: {how} keys: {', '.join(keys)}" for how, keys in listed.items() if keys]


def test_notices(tests: Iterable[Found]) -> list[str]:
    """A sentence for all keys that are ignored, one for those that nobody knows, and one for each
    test whose verdict can differ from tmt's."""
    unique = {test.name: test.keys for test in tests}
    ignored = Counter(key for test in unique.values() for key in ignored_by_test(test))
    unknown = Counter(key for test in unique.values() for key in unknown_keys(test))
    counts = [
        f"{how} keys of tests, and how many tests have them: "
        + ", ".join(f"{key} ({count})" for key, count in sorted(keys.items()))
        for how, keys in {"ignored": ignored, "unknown": unknown}.items()
        if keys
    ]
    verdicts = [
        f"{name}: {sentence}"
        for name, keys in unique.items()
        for sentence in other_verdicts(keys).values()
    ]
    return counts + verdicts
