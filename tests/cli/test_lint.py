"""`atex lint` prints what it finds, and says in its exit code whether there was anything."""

from tests.cli.command import Atex

PLAN = "discover: {how: fmf}\nexecute: {how: tmt}\n"


def test_nothing(atex: Atex) -> None:
    atex.write("t.fmf", "test: 'true'\n")
    ended = atex("lint", atex.tree)
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_findings_have_file_and_line(atex: Atex) -> None:
    atex.write("tests.fmf", "test: 'true'\nduration: soon\n/a:\n/b:\n/c:\n")
    ended = atex("lint", atex.tree)
    assert ended.code == 1
    (line,) = ended.lines
    assert line.startswith("tree/tests.fmf:2: duration 'soon' is invalid")
    assert line.endswith(" (/tests/a and 2 more)")
    atex.folder = atex.tree / "elsewhere"
    atex.folder.mkdir()
    assert atex("lint", atex.tree).lines[0].startswith(f"{atex.tree}/tests.fmf:2: ")


def test_remarks_are_no_findings(atex: Atex) -> None:
    atex.write("t.fmf", "test: 'true'\ntier: 1\n")
    atex.write("what*.fmf", "test: 'true'\n")
    ended = atex("lint", atex.tree)
    assert ended.code == 0
    assert ended.lines == [
        "tree/t.fmf:2: remark: tier is ignored (/t)",
        "tree/what*.fmf:1: remark: the name needs escaping: its folder in a run is /what%2A (/what*)",
    ]


def test_context(atex: Atex) -> None:
    atex.write("t.fmf", "test: 'true'\nadjust: {when: arch == s390x, tty: 5}\n")
    assert atex("lint", atex.tree).code == 0
    assert atex("lint", atex.tree, "-c", "arch=s390x").code == 1


def test_all_plans_are_looked_at(atex: Atex) -> None:
    atex.write("plans/a.fmf", PLAN)
    atex.write("plans/b.fmf", f"{PLAN}prepare: {{how: ansible, playbook: a.yml}}\n")
    ended = atex("lint", atex.tree)
    assert ended.code == 1
    assert "tree/plans/b.fmf:3: prepare: how: ansible" in ended.out


def test_no_tree_is_a_usage_error(atex: Atex) -> None:
    ended = atex("lint", "/")
    assert ended.code == 64
    assert "no fmf tree" in ended.err
