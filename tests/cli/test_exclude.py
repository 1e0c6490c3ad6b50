"""What of a tree is brought to the machines."""

from tests.cli.command import Atex

LIST = "test: cd $TMT_TREE; find . -type f | sort; [ -e kept/file ]\n"


def test_patterns_leave_out_what_they_name(atex: Atex) -> None:
    atex.write("a.fmf", LIST)
    for name in ("kept/file", "kept/image.iso", "docs/build/page", "build/page"):
        atex.write(name, "x")
    ended = atex.run("--on", "2xlocal", "--exclude", "*.iso", "--exclude", "/docs/build/")
    assert ended.code == 0, ended
    [output] = (atex.results / "files").rglob("output.txt")
    listed = output.read_text().split()
    assert {"./kept/file", "./build/page"} <= set(listed)
    assert "./kept/image.iso" not in listed
    assert "./docs/build/page" not in listed


def test_a_pattern_that_can_mean_nothing(atex: Atex) -> None:
    atex.write("a.fmf", LIST)
    ended = atex.run("--on", "local", "--exclude", "../x")
    assert ended.code == 64, ended
    assert ended.err.startswith("atex: --exclude '../x'")
    assert not atex.results.exists()
