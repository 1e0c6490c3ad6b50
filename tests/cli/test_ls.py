import json

from tests.cli.command import Atex

TESTS = """
test: ./run.sh
/late:
    order: 90
    duration: 1h
    require: [bash]
/early:
    environment:
        SIZE: 3
/fedora-only:
    enabled: false
    adjust:
        when: distro == fedora
        enabled: true
"""


def test_lists_names_in_the_order_of_the_plan(atex: Atex) -> None:
    atex.write("tests.fmf", TESTS)
    ended = atex("ls", atex.tree)
    assert ended.code == 0
    assert ended.lines == ["/tests/early", "/tests/late"]
    [notice] = ended.err.splitlines()
    assert "has no distro" in notice
    assert atex("ls", atex.tree, "-c", "distro=centos").err == ""


def test_the_current_folder_is_the_tree(atex: Atex) -> None:
    atex.write("tests.fmf", TESTS)
    atex.folder = atex.tree
    assert atex("ls").lines == ["/tests/early", "/tests/late"]


def test_narrowed_and_adjusted(atex: Atex) -> None:
    atex.write("tests.fmf", TESTS)
    assert atex("ls", atex.tree, "--test", "lat", "--test", "xyz").lines == ["/tests/late"]
    assert "/tests/fedora-only" in atex("ls", atex.tree, "-c", "distro=rhel,fedora").lines


def test_context_from_a_file(atex: Atex) -> None:
    atex.write("tests.fmf", TESTS)
    atex.write("fedora.yaml", "distro: fedora-42\n")
    file = f"@{atex.tree / 'fedora.yaml'}"
    assert "/tests/fedora-only" in atex("ls", atex.tree, "-c", file).lines
    replaced = atex("ls", atex.tree, "-c", file, "-c", "distro=centos")
    assert "/tests/fedora-only" not in replaced.lines
    missing = atex("ls", atex.tree, "-c", "@nowhere.yaml")
    assert missing.code == 64
    assert "nowhere.yaml: No such file" in missing.err


def test_json(atex: Atex) -> None:
    atex.write("tests.fmf", TESTS)
    early, late = json.loads(atex("ls", atex.tree, "--json").out)
    assert early == {
        "name": "/tests/early",
        "serial": 1,
        "duration": 300.0,
        "environment": {"SIZE": "3"},
        "require": [],
        "recommend": [],
        "tree": "",
        "path": "/",
        "tag": [],
        "test": "./run.sh",
    }
    assert (late["serial"], late["duration"], late["require"]) == (2, 3600.0, ["bash"])


def test_of_the_named_plan(atex: Atex) -> None:
    atex.write("tests.fmf", TESTS)
    for name in ("one", "two"):
        atex.write(f"plans/{name}.fmf", "discover: {how: fmf}\nexecute: {how: tmt}\n")
    assert atex("ls", atex.tree, "--plan", "/plans/one").code == 0
    several = atex("ls", atex.tree)
    assert several.code == 64
    assert "/plans/one" in several.err
    assert "/plans/two" in several.err


def test_of_a_plan_with_several_phases(atex: Atex) -> None:
    atex.write("tests.fmf", TESTS)
    atex.write(
        "plan.fmf",
        "discover:\n"
        "  - {how: fmf, test: [late, early]}\n"
        "  - {how: shell, name: more, tests: [{name: inline, test: ./inline.sh}]}\n"
        "execute: {how: tmt}\n",
    )
    ended = atex("ls", atex.tree)
    names = ["/default-0/tests/late", "/default-0/tests/early", "/more/inline"]
    assert (ended.code, ended.lines) == (0, names), ended
    described = json.loads(atex("ls", atex.tree, "--json").out)
    assert [(test["serial"], test["name"]) for test in described] == list(enumerate(names, 1))
    assert [test["duration"] for test in described] == [3600.0, 300.0, 3600.0]


def test_nothing_selected_is_no_error(atex: Atex) -> None:
    ended = atex("ls", atex.tree)
    assert (ended.code, ended.out) == (0, "")
    assert json.loads(atex("ls", atex.tree, "--json").out) == []
