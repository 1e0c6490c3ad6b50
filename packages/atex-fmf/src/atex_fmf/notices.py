"""Says what is ignored: keys that mean something to tmt, were selected, and have no effect here."""

from collections import Counter
from collections.abc import Iterable, Sequence

from .found import Found
from .node import Node
from .tree import Tree

_PLAN_KEYS = ("provision", "execute", "report", "login", "reboot", "cleanup")
_TEST_KEYS = (
    "check",
    "component",
    "restart-max-count",
    "restart-on-exit-code",
    "restart-with-reboot",
    "tier",
)


def missing_dimensions(asked: Iterable[tuple[Tree, Iterable[Node]]]) -> list[str]:
    """A sentence for all dimensions that rules of these nodes of these trees ask for and that nobody
    gave."""
    missing = sorted(
        {
            name
            for tree, nodes in asked
            for name in tree.undecided.missing(node.name for node in nodes)
        }
    )
    if not missing:
        return []
    them = "them" if len(missing) > 1 else "it"
    said = f"the context has no {', '.join(missing)}: adjust rules that ask for {them} are skipped"
    return [f"{said}, and other tests may be selected than were meant"]


def plan_notices(plan: Node) -> list[str]:
    """A sentence for all keys of the plan that are ignored."""
    notices = []
    ignored = [key for key in _PLAN_KEYS if plan.get(key) is not None]
    if plan.get("execute") == {"how": "tmt"}:
        ignored.remove("execute")  # nothing but what tmt wants to see in every plan
    if ignored:
        notices.append(f"{plan.name}: ignored keys: {', '.join(ignored)}")
    return notices


def test_notices(tests: Iterable[Found]) -> list[str]:
    """A sentence for all keys that are ignored, and one for each test whose verdict can differ
    from tmt's."""
    unique = list({test.name: test for test in tests}.values())
    return _ignored(unique) + [notice for test in unique for notice in _verdict(test)]


def _ignored(tests: Sequence[Found]) -> list[str]:
    found = Counter(key for test in tests for key in _TEST_KEYS if test.keys.get(key) is not None)
    if not found:
        return []
    counts = ", ".join(f"{key} ({found[key]})" for key in _TEST_KEYS if found[key])
    return [f"ignored keys of tests, and how many tests have them: {counts}"]


def _verdict(test: Found) -> list[str]:
    notices = []
    framework, result = test.keys.get("framework", "shell"), test.keys.get("result", "respect")
    if framework != "shell":
        notices.append(
            f"{test.name}: framework {framework} is ignored: the verdict comes from the results it "
            "sends, or from its exit code"
        )
    if result != "respect":
        notices.append(f"{test.name}: result {result} is ignored: a failure is a failure")
    return notices
