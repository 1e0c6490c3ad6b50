"""Whatever a plan says, discovery ends with a suite or with an error of its own that says where."""

import json
import tempfile
from pathlib import Path

from atex_fmf import MetadataError, discover
from hypothesis import given, settings
from hypothesis import strategies as st

TESTS = "test: 'true'\n/one: {tag: a, link: b}\n/two: {order: 3, require: [bash]}\n"

words = st.sampled_from(
    ["one", "", "a(", "$A", "$@B", "tag: a", "order > 1", "B == x", "fmf", "shell", "5m", "/", ".."]
)
values = st.recursive(
    words | st.none() | st.booleans() | st.integers(-2, 2) | st.just(1.5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "test", "when", "tag+", "A"]), inner, max_size=3)
    ),
    max_leaves=5,
)
KEYS = [
    "order",
    "when",
    "where",
    "test",
    "include",
    "exclude",
    "filter",
    "condition",
    "link",
    "adjust-tests",
    "require-test",
    "path",
    "tests",
    "script",
    "package",
    "missing",
]
# Not `url` and `ref`, which would ask git.
phases = st.fixed_dictionaries(
    {},
    optional={
        "how": st.sampled_from(["fmf", "shell", "install"]) | values,
        "name": words | values,
        **dict.fromkeys(KEYS, values),
    },
)
steps = phases | st.lists(phases, max_size=3) | values
plans = st.fixed_dictionaries(
    {"discover": steps},
    optional={
        **dict.fromkeys(["prepare", "finish", "execute"], steps),
        **dict.fromkeys(["environment", "environment-file", "context", "enabled", "plan"], values),
    },
)


@settings(max_examples=40)
@given(plans)
def test_any_plan(plan: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / ".fmf").mkdir()
        (root / ".fmf/version").write_text("1\n")
        (root / "plan.fmf").write_text(json.dumps(plan))
        (root / "tests.fmf").write_text(TESTS)
        file = folder
        try:
            suite = discover(root, context={"B": "x"}, environment={"A": "a"})
        except MetadataError as error:
            file = error.file
        else:
            assert [test.serial for test in suite.tests] == list(range(1, len(suite.tests) + 1))
        assert file.startswith(folder)
