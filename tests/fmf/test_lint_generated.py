"""Whatever stands in tests and plans: lint ends, and has found what discovery refuses."""

import json
import tempfile
from pathlib import Path
from typing import Any

from atex_fmf import FmfError, MetadataError, TreeError, discover, lint
from hypothesis import given, settings
from hypothesis import strategies as st

WORDS = [
    "fmf",
    "shell",
    "tmt",
    "5m",
    "true",
    "a==b",
    "(",
    "/t",
    "tag:x",
    "library(a/b)",
    "$A",
    "$@x",
]
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(-3, 99), st.sampled_from(WORDS))
MAPPED = st.sampled_from(["when", "how", "name", "test", "order", "tag+", "enabled", "because"])
VALUE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MAPPED, inner, max_size=3),
    max_leaves=6,
)


def keys(names: str) -> dict[Any, st.SearchStrategy[Any]]:
    return dict.fromkeys(names.split(), VALUE)


TEST = st.fixed_dictionaries(
    {"test": st.just("true")},
    optional=keys(
        "duration order enabled manual environment require recommend tag path framework result "
        "tier check adjust mistyped link tty tag+ require-"
    ),
)
PHASE = st.fixed_dictionaries(
    {"how": st.sampled_from(["fmf", "shell", "install"])},
    optional=keys(
        "name filter condition test include exclude order when require-test link adjust-tests "
        "tests script package missing path summary"
    ),
)
PHASES = PHASE | st.lists(PHASE, max_size=3)
PLAN = st.fixed_dictionaries(
    {"execute": st.sampled_from([{"how": "tmt"}, {"script": "true"}, {"exit-first": True}])},
    optional={
        "discover": PHASES,
        "prepare": PHASES,
        "finish": PHASES,
        **keys("environment environment-file context enabled adjust mistyped"),
    },
)


@settings(max_examples=40, deadline=None)
@given(test=TEST, below=TEST, plan=PLAN)
def test_lint_finds_what_discovery_refuses(
    test: dict[str, Any], below: dict[str, Any], plan: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = {"t/main.fmf": test, "t/u.fmf": below, "p.fmf": plan}  # JSON is YAML
        for name, text in {
            ".fmf/version": "1",
            **{name: json.dumps(data) for name, data in files.items()},
        }.items():
            file = Path(folder, name)
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        findings = {finding.problem for finding in lint(folder) if not finding.remark}
        assert refused(folder) <= findings


def refused(folder: str) -> set[str]:
    """The problem that discovery names, if it does."""
    try:
        discover(folder)
    except (MetadataError, TreeError) as error:
        return {error.problem}
    except FmfError:  # there is no enabled plan
        return set()
    return set()
