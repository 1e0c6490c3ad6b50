"""Plans as a whole: their variables, and what they must not ask for."""

import pytest
from atex_fmf import MetadataError, Suite, discover

from .conftest import Grow


def test_environment(grow: Grow) -> None:
    root = grow(
        {"plan.fmf": "discover: {how: fmf}\nenvironment: {A: yes, B: true, C: 1.50, D: ' d '}"}
    )
    assert discover(root).plan.environment == {"A": "yes", "B": "True", "C": "1.5", "D": "d"}


FILES = """
discover: {how: fmf}
environment-file: [a.env, sub/b.yaml]
environment: {OWN: plan, C: plan}
"""


def test_environment_files(grow: Grow) -> None:
    root = grow(
        {
            "sub/plan.fmf": FILES,
            "a.env": "# first\nA=1\nB=1 'C=a  b'\n",
            "sub/b.yaml": "B: 2\nC: file\nD: true\n",
        }
    )
    environment = discover(root).plan.environment
    assert environment == {"A": "1", "B": "2", "C": "plan", "D": "True", "OWN": "plan"}


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("../out.env", "", "../out.env leaves the tree"),
        ("https://example.com/a.env", "", "https://example.com/a.env is not of the tree"),
        ("\\0", "", ".*null (byte|character)"),
        ("missing.env", "", "missing.env: .* No such file"),
        ("a.env", "export A=1", "a.env: 'export' is not NAME=VALUE"),
        ("a.env", "A='1", "a.env: No closing quotation"),
        ("a.yaml", "- A", "a.yaml: it must be a mapping"),
        ("a.yml", "A: [1]", "a.yml: the value of A must be a string"),
        ("a.yml", "A: [1", "a.yml: while parsing"),
    ],
)
def test_bad_environment_files(grow: Grow, file: str, text: str, problem: str) -> None:
    plan = f'discover: {{how: fmf}}\nenvironment-file:\n  - "{file}"\n'
    root = grow({"plan.fmf": plan, "a.env": text, "a.yaml": text, "a.yml": text})
    place = f"{root}/plan.fmf, line 2"
    with pytest.raises(MetadataError, match=f"^/plan: environment-file: {problem}.*{place}"):
        discover(root)


REFERENCES = """
environment: {ONE: one, TWO: $ONE/$LATER, LATER: x}
discover: {how: fmf, test: ["${NAME}$", "/$ONE", "$@distro"]}
prepare: {script: ["$ONE $@{arch} $UNKNOWN $@unknown ${ONE}1 $ONES $1 $", "echo $$ \\\\$ONE"]}
"""


def test_references(grow: Grow) -> None:
    """All of it was compared with tmt 1.78."""
    root = grow({"plan.fmf": REFERENCES, "tests.fmf": "test: $ONE\n/one: {}\n/two: {}\n/rhel: {}"})
    suite = discover(
        root, context={"distro": "rhel", "arch": ["s390x", "x86_64"]}, environment={"NAME": "two"}
    )
    assert suite.plan.environment == {"ONE": "one", "TWO": "one/x", "LATER": "x"}
    assert suite.plan.prepare[0].script == (
        "one s390x,x86_64 $UNKNOWN $@unknown one1 $ONES $1 $",
        "echo $$ \\one",
    )
    assert [(test.name, test.test) for test in suite.tests] == [
        ("/tests/two", "$ONE"),
        ("/tests/one", "$ONE"),
        ("/tests/rhel", "$ONE"),
    ]


def names(suite: Suite) -> list[str]:
    return [test.name for test in suite.tests]


def test_a_plan_without_discover_has_no_tests(grow: Grow) -> None:
    root = grow({"plan.fmf": "execute: {how: tmt}", "smoke.fmf": "test: 'true'"})
    assert names(discover(root)) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("discover: fmf", "discover must be a mapping or a list of mappings"),
        ("discover: {how: git}", "discover: how: git is not supported"),
        ("discover: [{how: fmf}, {how: fmf, order: a}]", "discover: order must be a whole number"),
        ("discover: [{how: fmf, name: a}, {name: a}]", "discover: two phases are called a"),
        ("discover: {how: fmf, test: [{nam: a}]}", "discover: test must be a string, a mapping wi"),
        ("discover: {how: fmf, test: 'a('}", r"discover: test: 'a\(' is not a regular expression"),
        ("discover: {how: fmf, include: 'a('}", r"discover: include: 'a\(' is not a regular"),
        ("discover: {how: fmf, exclude: '['}", "discover: exclude: '.' is not a regular expres"),
        ("discover: {how: fmf, filter: 5}", "discover: filter must be a string or a list"),
        ("discover: {how: fmf, filter: 'tag: a('}", r"discover: filter: 'tag: a\(' cannot be app"),
        ("environment: [A=1]", "environment must be a mapping"),
        ("discover: {how: fmf}\nenabled: 1", "enabled must be true or false"),
        ("discover: {how: fmf}\ncontext: [a]", "context must be a mapping"),
        ("execute: {how: upgrade}", "execute: how: upgrade is not supported"),
        ("plan: {import: {url: a, name: b}}", "plan: importing plans"),
    ],
)
def test_refused(grow: Grow, text: str, problem: str) -> None:
    plan = text if "discover" in text else f"discover: {{how: fmf}}\n{text}"
    root = grow({"plan.fmf": plan, "smoke.fmf": "test: 'true'\ntag: a"})
    with pytest.raises(MetadataError, match=f"^/plan: {problem}.*{root}/plan.fmf") as caught:
        discover(root)
    assert (caught.value.name, caught.value.file) == ("/plan", str(root / "plan.fmf"))


REFUSED = """
where: client
modified-only: true
modified-url: a
dist-git-source: true
sync-repo: true
incldue: [a]
url-content-type: archive
"""


@pytest.mark.parametrize("key", REFUSED.strip().splitlines())
def test_what_would_change_the_selection_is_not_ignored(grow: Grow, key: str) -> None:
    root = grow({"plan.fmf": f"discover: {{how: fmf, {key}}}", "smoke.fmf": "test: 'true'"})
    name = key.split(":", maxsplit=1)[0]
    with pytest.raises(MetadataError, match=f"^/plan: discover: {name}.* supported.*, line 1"):
        discover(root)


def test_what_is_switched_off_changes_nothing(grow: Grow) -> None:
    keys = "modified-only: false, url: null, dist-git-source: false, where: []"
    root = grow({"plan.fmf": f"discover: {{how: fmf, {keys}}}", "smoke.fmf": "test: 'true'"})
    assert len(discover(root).tests) == 1
