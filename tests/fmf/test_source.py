"""Tests of other trees: url, ref and path of a phase of discover. Real git."""

import os
import shutil
from pathlib import Path

import pytest
from atex_fmf import MetadataError, Suite, discover

from .conftest import Grow
from .repository import git, write


def suite(grow: Grow, phases: str) -> Suite:
    return discover(grow({"plan.fmf": f"discover: {phases}", "own.fmf": "test: 'true'"}))


def places(suite: Suite) -> list[tuple[str, str, str]]:
    return [(test.name, test.tree, test.path) for test in suite.tests]


def test_a_repository(grow: Grow, remote: Path) -> None:
    found = suite(grow, f"{{how: fmf, url: '{remote}'}}")
    assert places(found) == [("/t/new", "default-0", "/data")]
    assert Path(found.trees["default-0"]).parent == Path(os.environ["FMF_CACHE_DIRECTORY"])
    assert Path(found.trees["default-0"], "t.fmf").exists()
    assert found.root != found.trees["default-0"]


def test_revisions_do_not_disturb_each_other(grow: Grow, remote: Path) -> None:
    phases = [
        "{how: fmf, name: old/1, url: 'URL', ref: v1}",
        "{how: fmf, name: ..new, url: 'URL', ref: main}",
        "{how: fmf, name: own}",
        "{how: fmf, name: deep, url: 'URL', path: /deep/er}",
    ]
    found = suite(grow, f"[{', '.join(phases)}]".replace("URL", str(remote)))
    assert places(found) == [
        ("/old/1/t/old", "old%2F1", "/"),
        ("/..new/t/new", "%2E.new", "/data"),
        ("/own/own", "", "/"),
        ("/deep/x", "deep", "/deep/er/x"),
    ]
    assert "/old" in Path(found.trees["old%2F1"], "t.fmf").read_text()
    assert "/new" in Path(found.trees["%2E.new"], "t.fmf").read_text()


def test_a_branch_that_moves_is_followed(grow: Grow, remote: Path) -> None:
    for ref in ["", ", ref: main"]:
        assert len(suite(grow, f"{{how: fmf, url: '{remote}'{ref}}}").tests) == 1
    write(remote, {"more.fmf": "test: 'true'"})
    git(remote, "add", ".")
    git(remote, "commit", "--message=three")
    for ref in ["", ", ref: main"]:
        assert len(suite(grow, f"{{how: fmf, url: '{remote}'{ref}}}").tests) == 2


def test_a_tag_that_moves_is_followed(grow: Grow, remote: Path) -> None:
    phase = f"{{how: fmf, url: '{remote}', ref: v1}}"
    assert places(suite(grow, phase)) == [("/t/old", "default-0", "/")]
    git(remote, "tag", "--force", "v1")
    assert places(suite(grow, phase)) == [("/t/new", "default-0", "/data")]


def test_a_branch_that_is_gone_is_an_error(grow: Grow, remote: Path) -> None:
    git(remote, "branch", "side")
    phase = f"{{how: fmf, url: '{remote}', ref: side}}"
    assert suite(grow, phase).tests
    git(remote, "branch", "--delete", "side")
    with pytest.raises(MetadataError, match=r"at side cannot be fetched: .*pathspec"):
        suite(grow, phase)


@pytest.mark.parametrize("scheme", ["", "file://"], ids=["whole", "shallow"])
def test_another_default_branch_is_followed(grow: Grow, remote: Path, scheme: str) -> None:
    phase = f"{{how: fmf, url: '{scheme}{remote}'}}"
    assert places(suite(grow, phase)) == [("/t/new", "default-0", "/data")]
    git(remote, "branch", "--move", "main", "trunk")
    git(remote, "reset", "--hard", "v1")
    assert places(suite(grow, phase)) == [("/t/old", "default-0", "/")]


def test_git_never_asks_for_a_password_when_it_looks_for_news(
    grow: Grow, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phase = f"{{how: fmf, url: '{remote}'}}"
    assert suite(grow, phase).tests
    log = tmp_path / "log"
    real = shutil.which("git")
    wrapper = f'#!/bin/sh\necho "$1 $GIT_TERMINAL_PROMPT" >> {log}\nexec {real} "$@"\n'
    write(tmp_path, {"bin/git": wrapper})
    (tmp_path / "bin/git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.delenv("GIT_TERMINAL_PROMPT", raising=False)
    assert suite(grow, phase).tests
    assert log.read_text().split("\n") == ["fetch 0", "remote 0", "checkout 0", "reset 0", ""]


def test_a_tree_that_no_test_comes_from_is_not_brought(grow: Grow, remote: Path) -> None:
    assert suite(grow, f"{{how: fmf, url: '{remote}', test: nothing}}").trees == {}


def test_the_context_and_rules_of_the_plan_are_for_that_tree(grow: Grow, remote: Path) -> None:
    write(remote, {"t.fmf": "test: x\nadjust: {when: distro == rhel, tag: r}"})
    git(remote, "commit", "--all", "--message=three")
    rule = "adjust-tests: {environment+: {A: 1}}"
    found = suite(grow, f"{{how: fmf, url: '{remote}', {rule}}}\ncontext: {{distro: rhel}}")
    assert [(test.tag, test.environment) for test in found.tests] == [(("r",), {"A": "1"})]


def test_inline_tests_run_in_a_repository(grow: Grow, remote: Path) -> None:
    tests = "tests: [{name: a, test: ls, path: /deep}, {name: b, test: ls}]"
    found = suite(grow, f"{{url: '{remote}', ref: v1, {tests}}}")
    assert places(found) == [("/a", "default-0", "/deep"), ("/b", "default-0", "/")]


def test_another_revision_of_the_plans_own_repository(grow: Grow, remote: Path) -> None:
    write(remote, {"deep/er/plan.fmf": "discover: {how: fmf, ref: v1}"})  # not committed
    found = discover(remote / "deep/er")
    assert places(found) == [("/x", "default-0", "/deep/er/x")]
    write(remote, {"plan.fmf": "discover: {how: fmf, ref: v1}"})
    git(remote, "checkout", "--detach")  # as in most CI
    for _ in range(2):
        assert places(discover(remote)) == [("/t/old", "default-0", "/")]


@pytest.mark.parametrize("absolute", [True, False])
def test_a_folder(grow: Grow, remote: Path, absolute: bool) -> None:
    path = str(remote / "deep/er") if absolute else "../remote/deep/er"
    found = suite(grow, f"{{how: fmf, path: '{path}'}}")
    assert places(found) == [("/x", "default-0", "/x")]
    assert Path(found.trees["default-0"]).samefile(remote / "deep/er")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("how: fmf, path: nowhere", "path: .*/tree/nowhere is no fmf tree"),
        ("how: fmf, url: 'REMOTE', path: deep", "path: .*/deep is no fmf tree"),
        ("how: fmf, ref: main", "ref: .*/tree is in no git repository"),
        ("how: fmf, ref: '@refs.fmf', url: 'REMOTE'", "ref: @refs.fmf: a ref from a file"),
        ("how: fmf, url: 'REMOTE', ref: nope", "url: .* at nope cannot be fetched: .*pathspec"),
        ("how: fmf, url: '--upload-pack=touch x'", "url: --upload-pack=touch x is neither"),
        ("how: fmf, url: 'REMOTE', ref: --orphan", "url: --orphan is neither"),
        ("how: fmf, url: 'REMOTE/none'", "url: .*/none cannot be fetched: .*not exist"),
        ("how: fmf, url: 'REMOTE', url-content-type: archive", "url-content-type: only git"),
        ("how: fmf, url: [a]", "url must be a string"),
    ],
)
def test_refused(grow: Grow, remote: Path, keys: str, problem: str) -> None:
    with pytest.raises(MetadataError, match=f"^/plan: discover: {problem}.*plan.fmf, line 1.$"):
        suite(grow, f"{{{keys}}}".replace("REMOTE", str(remote)))
