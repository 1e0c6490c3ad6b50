"""Trees that tmt and ATEX refuse alike, and those that only ATEX does, before it runs other tests than asked for."""

import pytest
from atex_fmf import FmfError, MetadataError

from tests.fmf.beside_tmt.comparison import Tmt, TmtRefuses, atex_selects
from tests.fmf.conftest import Grow

EXECUTE = "execute: {how: tmt}\n"
TESTS = "test: run\n/one: {}\n/two: {}\n"

BOTH = {
    "required-test-is-missing": ("discover: {how: fmf, test: one, require-test: [/t/two]}", TESTS),
    "required-test-with-a-prefix": (
        "discover: {how: fmf, require-test: [/default-0/t/one]}",
        TESTS,
    ),
    "discover-and-script": ("discover: {how: fmf}\nexecute: {how: tmt, script: run}", TESTS),
    "phases-of-one-name": ("discover: [{how: fmf, name: a}, {how: fmf, name: a}]", TESTS),
    "unknown-how": ("discover: {how: nothing}", TESTS),
    "path-is-no-folder": ("discover: {how: fmf, path: /nowhere/at/all}", TESTS),
    "regular-expression": ("discover: {how: fmf, test: 'a('}", TESTS),
    "rule-of-a-phase": ("discover: {how: fmf, when: fedora}", TESTS),
    "rule-of-a-test": ("discover: {how: fmf}", "test: run\nadjust: {when: fedora, tag: a}\n"),
    "rule-without-a-mapping": ("discover: {how: fmf}", "test: run\nadjust: [soon]\n"),
    "merging-unlike-types": ("discover: {how: fmf}", "test: run\ntag: a\n/x: {tag+: [b]}\n"),
    "duration": ("discover: {how: fmf}", "test: run\nduration: soon\n"),
    "duration-with-an-unknown-unit": ("discover: {how: fmf}", "test: run\nduration: 10w\n"),
    "yaml": ("discover: {how: fmf}", "test: [run\n"),
    "environment-file-is-missing": ("discover: {how: fmf}\nenvironment-file: no.env", TESTS),
    "disabled-plan": ("discover: {how: fmf}\nenabled: false", TESTS),
    "disabled-plan-by-null": ("discover: {how: fmf}\nenabled: null", TESTS),
    "shell-test-without-a-name": ("discover: {how: shell, tests: [{test: run}]}", TESTS),
    "shell-test-without-a-script": ("discover: {how: shell, tests: [{name: /a}]}", TESTS),
}


@pytest.mark.parametrize(("plan", "tests"), BOTH.values(), ids=BOTH)
def test_both_refuse(tmt: Tmt, grow: Grow, plan: str, tests: str) -> None:
    tree = grow({"plan.fmf": _plan(plan), "t.fmf": tests})
    with pytest.raises(TmtRefuses):
        tmt.selects(tree, "/plan", {})
    with pytest.raises(FmfError):
        atex_selects(tree, "/plan", {})


# Not asked of tmt: it would look for repositories and libraries, or do what ATEX will not.
ONLY_ATEX = {
    "modified-only": ("discover: {how: fmf, modified-only: true}", TESTS, "modified-only"),
    "dist-git-source": ("discover: {how: fmf, dist-git-source: true}", TESTS, "dist-git-source"),
    "archives": ("discover: {how: fmf, url: x, url-content-type: archive}", TESTS, "only git"),
    "ref-from-a-file": ("discover: {how: fmf, url: x, ref: '@ref.fmf'}", TESTS, "from a file"),
    "where": ("discover: {how: fmf, where: server}", TESTS, "where"),
    "unknown-key": ("discover: {how: fmf, tests: [one]}", TESTS, "tests is not supported"),
    "key-that-is-a-boolean": ("discover: {how: fmf, true: y}", TESTS, "True is not supported"),
    "key-that-is-a-number": ("discover: {how: fmf, 5: x}", TESTS, "5 is not supported"),
    "shell-names-twice": (
        "discover: {how: shell, tests: [{name: /a, test: b}, {name: /a, test: c}]}",
        TESTS,
        "two tests are called /a",
    ),
    "importing-plans": ("discover: {how: fmf}\nplan: {url: x, name: /y}", TESTS, "importing"),
    "execute-how": ("discover: {how: fmf}\nexecute: {how: upgrade}", TESTS, "how: upgrade"),
    "beakerlib-library": (
        "discover: {how: fmf}",
        "test: run\nrequire: [{type: library, url: x, name: /y}]\n",
        "beakerlib library",
    ),
    "library-by-name": (
        "discover: {how: fmf}",
        "test: run\nrequire: library(a/b)\n",
        "beakerlib library",
    ),
    "condition-that-calls": (
        "discover: {how: fmf, condition: \"open('/etc/passwd')\"}",
        TESTS,
        "must not have a Call",
    ),
    "environment-file-by-url": (
        "discover: {how: fmf}\nenvironment-file: https://example.com/a.env",
        TESTS,
        "not of the tree",
    ),
}


@pytest.mark.parametrize(("plan", "tests", "problem"), ONLY_ATEX.values(), ids=ONLY_ATEX)
def test_only_atex_refuses(grow: Grow, plan: str, tests: str, problem: str) -> None:
    tree = grow({"plan.fmf": _plan(plan), "t.fmf": tests})
    with pytest.raises(MetadataError, match=problem) as caught:
        atex_selects(tree, "/plan", {})
    assert caught.value.file
    assert caught.value.line


def _plan(text: str) -> str:
    return f"{text}\n" + ("" if "execute:" in text else EXECUTE)
