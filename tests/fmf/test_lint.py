"""All that is wrong with a tree is found at once, with its line."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from atex_fmf import Finding, FmfError, MetadataError, TreeError, discover, lint

from .beside_tmt.test_refused import BOTH, ONLY_ATEX
from .conftest import Grow

TEST = "test: 'true'\n"
PLAN = "discover: {how: fmf}\nexecute: {how: tmt}\n"
# Name: a plan, the tests, and more. All but one are refused for what stands in them.
DISABLED = {"disabled-plan", "disabled-plan-by-null"}
REFUSED = {name: row for name, row in {**BOTH, **ONLY_ATEX}.items() if name not in DISABLED}


def found(root: Path, *, remark: bool = False) -> list[str]:
    """The findings, or the remarks, as FILE:LINE: PROBLEM."""
    return [
        f"{Path(finding.file).relative_to(root)}:{finding.line}: {finding.problem}"
        for finding in lint(root)
        if finding.remark is remark
    ]


def test_nothing_is_wrong(grow: Grow) -> None:
    root = grow({"t.fmf": f"{TEST}extra-id: 7\nsummary: s\nadjust: {{tag: a}}\n", "p.fmf": PLAN})
    assert lint(root) == []


@pytest.mark.parametrize(
    ("where", "files"),
    [
        ("t.fmf:2: durration is no key that tmt or ATEX knows; is it duration?", {"t.fmf": f"{TEST}durration: 5m\n"}),
        ("t.fmf:2: discover is no key", {"t.fmf": f"{TEST}discover: {{how: fmf}}\n"}),
        ("t.fmf:2: duration '5 parsecs' is invalid", {"t.fmf": f"{TEST}duration: 5 parsecs\n"}),
        ("t.fmf:2: enabled must be true or false", {"t.fmf": f"{TEST}enabled: 1\n"}),
        ("t.fmf:2: order must be a whole number", {"t.fmf": f"{TEST}order: first\n"}),
        ("t.fmf:1: test is empty", {"t.fmf": "test:\n"}),
        ("t.fmf:2: path '../a' must begin with '/'", {"t.fmf": f"{TEST}path: ../a\n"}),
        # Also where nothing selects the test, or the plan.
        ("t.fmf:3: duration 'x' is invalid", {"t.fmf": f"{TEST}enabled: false\nduration: x\n"}),
        ("p.fmf:3: enviroment is no key", {"p.fmf": f"{PLAN}enviroment: {{}}\n"}),
        ("p.fmf:1: discover: how: x is not supported", {"p.fmf": "discover: {how: x}\n"}),
        ("p.fmf:3: discover: modified-only is not", {"p.fmf": "discover:\n  how: fmf\n  modified-only: true\n"}),
        ("p.fmf:3: prepare: order must be a whole number", {"p.fmf": f"{PLAN}prepare: {{order: a}}\n"}),
        ("p.fmf:4: finish: order must be", {"p.fmf": f"{PLAN}enabled: false\nfinish: {{order: a}}\n"}),
        ("t.fmf:2: adjust: ", {"t.fmf": f"{TEST}adjust: {{when: what is this}}\n"}),
        ("main.fmf:1: duration 'x' is invalid", {"main.fmf": "duration: x\n", "a.fmf": TEST, "b.fmf": TEST}),
        ("t.fmf:3: inherit: ", {"t.fmf": f"{TEST}tag: [a]\ntag+: b\n"}),
        ("t.fmf:1: fmf metadata is a mapping", {"t.fmf": "- a\n"}),
        ("t.fmf:2: ", {"t.fmf": "a: b\n c: d\n"}),
    ],
)  # fmt: skip
def test_one_finding(grow: Grow, where: str, files: Mapping[str, str]) -> None:
    (finding,) = found(grow(files))
    assert finding.startswith(where)


@pytest.mark.parametrize(
    ("plan", "tests"), [row[:2] for row in REFUSED.values()], ids=list(REFUSED)
)
def test_what_discovery_refuses_is_found_in_the_same_place(
    grow: Grow, plan: str, tests: str
) -> None:
    execute = "" if "execute:" in plan else "execute: {how: tmt}\n"
    root = grow({"plan.fmf": f"{execute}\n\n{plan}\n", "t.fmf": tests})
    with pytest.raises(FmfError) as caught:
        discover(root, plan="/plan")
    error = caught.value
    assert isinstance(error, MetadataError | TreeError)
    assert error.line
    findings = {(finding.file, finding.line, finding.problem): finding for finding in lint(root)}
    assert not findings[error.file, error.line, error.problem].remark


def test_what_is_missing_because_it_was_wrong_is_not_said(grow: Grow) -> None:
    tests = "[{name: /a, test: b}, {name: /a, test: c}]"
    root = grow({"p.fmf": f"execute: {{how: tmt}}\ndiscover: {{how: shell, tests: {tests}}}\n"})
    assert found(root) == ["p.fmf:2: discover: tests: two tests are called /a"]


def test_all_findings_of_a_test_and_of_a_plan(grow: Grow) -> None:
    test = "duration: x\nenvironment: {A: [1], B: [2]}\norder: x\ntags: y\nrequire: [5]\n"
    plan = "discover:\n  - {how: a}\n  - how: fmf\n    filter: 5\n    dist-git-source: true\n"
    root = grow({"t.fmf": TEST + test, "p.fmf": f"{plan}prepare: [{{order: x, how: ansible}}]\n"})
    lines = [line.split(": ", 1)[0] for line in found(root)]
    assert lines == [
        *("p.fmf:2", "p.fmf:4", "p.fmf:5", "p.fmf:6", "p.fmf:6"),
        *("t.fmf:2", "t.fmf:3", "t.fmf:3", "t.fmf:4", "t.fmf:5", "t.fmf:6"),
    ]


def test_tests_that_stand_in_a_plan(grow: Grow) -> None:
    plan = """
discover:
  how: shell
  tests:
    - name: /a
      test: 'true'
      durration: 5m
      tier: 1
    - name: /b
      test: 'true'
      duration: x
      path: y
execute: {how: tmt}
"""
    root = grow({"p.fmf": plan})
    assert [line.split(": ")[0] for line in found(root)] == ["p.fmf:7", "p.fmf:11", "p.fmf:12"]
    assert found(root, remark=True) == ["p.fmf:8: discover: tests: tier is ignored"]


def test_what_many_inherit_is_one_finding(grow: Grow) -> None:
    root = grow({"main.fmf": f"{TEST}duration: x\n/a:\n/b:\n/c:\n  duration: 5m\n/d:\n"})
    (finding,) = lint(root)
    assert finding == Finding(
        file=f"{root}/main.fmf",
        line=2,
        problem=finding.problem,
        names=("/a", "/b", "/d"),
    )


def test_each_file_that_does_not_parse(grow: Grow) -> None:
    bad = "a: b\n c: d\n"
    files = {"a.fmf": bad, "b/main.fmf": bad, "c.fmf": TEST, ".d.fmf": bad, "e/.fmf/version": "1\n"}
    root = grow({**files, "e/main.fmf": bad})
    (root / "f.fmf").write_bytes(b"a: \xff\n")
    assert [line[:9] for line in found(root)] == ["a.fmf:2: ", "b/main.fm", "f.fmf:0: "]
    assert [finding.file for finding in lint(root / "b")] == [
        f"{root}/{file}" for file in ("a.fmf", "b/main.fmf", "f.fmf")
    ]


def test_broken_rules_do_not_hide_anything(grow: Grow) -> None:
    rules = "adjust:\n  - when: what is this\n    tag: a\n"
    root = grow({"a.fmf": TEST + rules, "b.fmf": f"{TEST}{rules}duration: x\n"})
    assert [line[:9] for line in found(root)] == ["a.fmf:3: ", "b.fmf:3: ", "b.fmf:5: "]


def test_tests_that_no_plan_selects(grow: Grow) -> None:
    files = {
        "tests.fmf": f"{TEST}/a:\n  tag: x\n/b:\n/c:\n  enabled: false\n/d:\n  manual: true\n/e:\n",
        "plans.fmf": "execute: {how: tmt}\n"
        "/x:\n  discover: {how: fmf, filter: 'tag: x'}\n"
        "/off:\n  discover: {how: fmf}\n  enabled: false\n"
        "/two:\n  discover: [{how: fmf, test: /e}, {how: shell, tests: [{name: /b, test: 'true'}]}]\n",
    }
    assert found(grow(files)) == ["tests.fmf:4: no plan selects this test"]


def test_without_a_plan_all_tests_run(grow: Grow) -> None:
    assert found(grow({"t.fmf": TEST, "p.fmf": f"{PLAN}enabled: false\n"})) == []


def test_while_a_plan_is_broken_nobody_knows_what_is_selected(grow: Grow) -> None:
    root = grow({"t.fmf": TEST, "p.fmf": "discover: {how: fmf, test: '('}\nexecute: {how: tmt}\n"})
    (finding,) = found(root)
    assert finding.startswith("p.fmf:1: discover: test: '(' is not a regular expression")


def test_the_context_decides(grow: Grow) -> None:
    rule = "adjust: {when: arch == x86_64, duration: x}\n"
    root = grow({"t.fmf": TEST + rule, "p.fmf": PLAN})
    assert lint(root) == []
    (finding,) = lint(root, context={"arch": "x86_64"})
    assert finding.line == 2


def test_remarks(grow: Grow) -> None:
    test = "tier: 1\ncheck: avc\nframework: beakerlib\nresult: xfail\n/a:\n/b:\n  result: respect\n"
    plan = "provision: {how: virtual}\nreport: {how: html}\n"
    root = grow({"t.fmf": TEST + test, "p.fmf": PLAN + plan})
    assert found(root) == []
    assert found(root, remark=True) == [
        "p.fmf:3: provision is ignored",
        "p.fmf:4: report is ignored",
        "t.fmf:2: tier is ignored",
        "t.fmf:3: check is ignored",
        (
            "t.fmf:4: framework beakerlib is ignored but for `set -e`, which it does not have: the "
            "verdict comes from the results it sends, or from its exit code"
        ),
        "t.fmf:5: result xfail is ignored: a failure is a failure",
    ]
    assert {finding.line: finding.names for finding in lint(root)}[5] == ("/t/a",)


def test_tests_in_the_context_of_a_plan(grow: Grow) -> None:
    plans = "".join(f"/{name}: {{context: {{a: b}}}}\n" for name in "abc")
    test = f"{TEST}adjust:\n  when: a == b\n  duration: x\n  tty: 5\n"
    root = grow({"plan.fmf": PLAN + plans, "t.fmf": test})
    assert [line.split(": ")[0] for line in found(root)] == ["t.fmf:4", "t.fmf:5"]


def test_odd_names(grow: Grow) -> None:
    root = grow({"t.fmf": f"{TEST}/a:\n/b*:\n"})
    (finding,) = lint(root, odd_name=lambda name: "odd" if "*" in name else "")
    assert (finding.line, finding.problem, finding.names) == (3, "odd", ("/t/b*",))
    assert finding.remark


def test_no_tree(tmp_path: Path) -> None:
    with pytest.raises(TreeError, match="no fmf tree"):
        lint(tmp_path)
