"""Trees that hypothesis makes: tests with inheritance, tags, order and rules; a plan with any keys of selection.

Files are written as JSON, which is YAML.
"""

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from tests.fmf.beside_tmt.comparison import Context

NAMES = st.sampled_from(["a", "b", "c", "ab", "a-b"])
TAGS = st.lists(st.sampled_from(["x", "y", "z"]), max_size=2, unique=True)
VARIABLES = st.dictionaries(st.sampled_from(["A", "B"]), st.sampled_from(["1", "two"]))
ORDERS = st.sampled_from([-1, 0, 10, 50, 90])
PACKAGES = st.lists(st.sampled_from(["bash", "sed"]), max_size=2)
CONDITIONS = st.sampled_from(
    [
        "distro == fedora",
        "distro < fedora-42",
        "distro ~>= rhel-9.4",
        "distro != rhel and arch == x86_64",
        "arch == x86_64, s390x or level is defined",
        "level is not defined",
        "level >= 3",
        "true",
        "false",
    ]
)
CONTEXTS: st.SearchStrategy[Context] = st.fixed_dictionaries(
    {},
    optional={
        "distro": st.sampled_from([["fedora-42"], ["fedora-41"], ["rhel-9.4"], ["rhel-9.6", "x"]]),
        "arch": st.sampled_from([["x86_64"], ["S390X"], ["aarch64", "x86_64"]]),
        "level": st.sampled_from([["2"], ["3"]]),
    },
)

# What any node may say: all merges fit, because the top of the tree has a value of each type.
TOP: Mapping[str, Any] = {
    "test": "run",
    "tag": ["base"],
    "environment": {"A": "0"},
    "require": ["make"],
    "duration": "10m",
    "order": 50,
    "adjust": [],
}
CHANGES: Mapping[str, st.SearchStrategy[Any]] = {
    "tag": TAGS,
    "tag+": TAGS,
    "tag-": TAGS,
    "tag+<": TAGS,
    "tag~": st.sampled_from([["/base/new/"], ["/x/y/", ",z,base,"]]),
    "order": ORDERS,
    "order+": st.sampled_from([-5, 5]),
    "environment": VARIABLES,
    "environment+": VARIABLES,
    "require+": PACKAGES,
    "recommend": PACKAGES,
    "duration": st.sampled_from(["1h", "30", "2m 30s", "*2"]),
    "duration+": st.sampled_from([" *2", " 30s"]),
    "enabled": st.sampled_from([True, True, True, False]),
    "manual": st.sampled_from([False, False, False, True]),
    "tier": st.sampled_from(["1", 2]),
    "path": st.sampled_from(["/", "/a"]),
    "test": st.sampled_from(["go", "./b.sh"]),
    "test+": st.just(" --more"),
}
RULES = st.lists(
    st.builds(
        lambda changes, control: {**changes, **control},
        st.fixed_dictionaries({}, optional={k: v for k, v in CHANGES.items() if k != "manual"}),
        st.fixed_dictionaries({}, optional={"when": CONDITIONS, "continue": st.booleans()}),
    ),
    max_size=2,
)
KEYS = st.fixed_dictionaries({}, optional={**CHANGES, "adjust": RULES, "adjust+": RULES})


def _with_children(nodes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    children = st.dictionaries(NAMES.map("/{}".format), nodes, max_size=3)
    return st.builds(lambda keys, below: {**keys, **below}, KEYS, children)


NODES = st.recursive(KEYS, _with_children, max_leaves=4)
TESTS = st.fixed_dictionaries(
    {"main.fmf": KEYS.map(lambda keys: {**TOP, **keys})},
    optional={"a.fmf": NODES, "a/main.fmf": NODES, "a/b.fmf": NODES, "c/a-b/main.fmf": NODES},
)

PATTERNS = st.sampled_from(["a", "b$", "^/a", "/a/b", "-", "c|ab", "."])
LISTS = st.lists(PATTERNS, max_size=3)
FILTERS = st.sampled_from(
    ["tag: x", "tag: -x", "tag: x, y & tier: 1", "tag: base | tier: 2", "order: 50"]
)
PHASE_KEYS: Mapping[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(["one", "two words", "default-1"]),
    "order": ORDERS,
    "when": st.one_of(CONDITIONS, st.lists(CONDITIONS, min_size=1, max_size=2)),
}
FMF_PHASES = st.fixed_dictionaries(
    {"how": st.just("fmf")},
    optional={
        **PHASE_KEYS,
        "test": st.one_of(PATTERNS, LISTS, st.lists(st.builds(dict, name=PATTERNS, order=ORDERS))),
        "include": st.one_of(PATTERNS, LISTS),
        "exclude": st.one_of(PATTERNS, LISTS),
        "filter": st.one_of(FILTERS, st.lists(FILTERS, max_size=2)),
        "adjust-tests": RULES,
    },
)
SHELL_TESTS = st.fixed_dictionaries(
    {"test": st.just("run")},
    optional={
        "order": ORDERS,
        "enabled": st.booleans(),
        "duration": st.just("7m"),
        "environment": VARIABLES,
        "tag": TAGS,
        "require": PACKAGES,
    },
)
SHELL_PHASES = st.fixed_dictionaries(
    {
        "how": st.just("shell"),
        "tests": st.dictionaries(NAMES.map("/{}".format), SHELL_TESTS, min_size=1, max_size=3).map(
            lambda tests: [{"name": name, **test} for name, test in tests.items()]
        ),
    },
    optional=PHASE_KEYS,
)
PHASES = st.one_of(FMF_PHASES, FMF_PHASES, SHELL_PHASES)
PLANS = st.fixed_dictionaries(
    {
        "/": st.just({"inherit": False}),
        "execute": st.just({"how": "tmt"}),
        "discover": st.one_of(PHASES, st.lists(PHASES, min_size=1, max_size=3)),
    },
    optional={
        "environment": VARIABLES,
        "context": CONTEXTS,
        "adjust": st.lists(
            st.fixed_dictionaries({"when": CONDITIONS, "environment+": VARIABLES}), max_size=1
        ),
    },
)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, str]:
    """The files of a tree with tests and a plan, /plan."""
    files = draw(TESTS)
    plan = draw(PLANS)
    return {name: json.dumps(data) for name, data in [*files.items(), ("plan.fmf", plan)]}
