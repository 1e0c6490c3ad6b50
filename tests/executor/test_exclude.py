"""What patterns leave out of a tree."""

import pytest
from atex_executor.exclude import Exclusion


@pytest.mark.parametrize(
    ("pattern", "covered", "others"),
    [
        ("*.iso", ["a.iso", "x/y/a.iso", ".iso"], ["a.iso.sha", "a.ISO"]),
        ("build", ["build", "x/build"], ["builds", "a/rebuild"]),
        ("x?", ["xy", "a/xy"], ["x", "x/", "xyz"]),
        ("[ab]", ["a", "c/b"], ["ab", "c"]),
        ("/build", ["build"], ["x/build"]),
        ("docs/html", ["docs/html"], ["x/docs/html", "docs/html2", "docs"]),
        ("docs/*.pdf", ["docs/a.pdf"], ["docs/x/a.pdf", "a.pdf"]),
        ("docs/**/a", ["docs/a", "docs/x/a", "docs/x/y/a"], ["x/docs/a", "docs"]),
        ("**/a/b", ["a/b", "x/a/b", "x/y/a/b"], ["b", "a/x/b"]),
        ("docs/**", ["docs/a", "docs/x/a"], ["docs", "x/docs"]),
        ("**", ["a", "a/b"], []),
        ("a.b", ["a.b"], ["axb"]),
        ("řádek*", ["řádek\n", "x/řádek"], ["radek"]),
    ],
)
def test_patterns(pattern: str, covered: list[str], others: list[str]) -> None:
    exclusion = Exclusion([pattern])
    for folder in (True, False):
        assert [path for path in covered if not exclusion.covers(path, folder=folder)] == []
        assert [path for path in others if exclusion.covers(path, folder=folder)] == []


def test_a_slash_at_the_end_is_for_folders() -> None:
    exclusion = Exclusion(["build/", "docs/html/"])
    assert exclusion.covers("x/build", folder=True)
    assert exclusion.covers("docs/html", folder=True)
    assert not exclusion.covers("x/build", folder=False)
    assert not exclusion.covers("docs/html", folder=False)


def test_several_patterns_are_alternatives() -> None:
    exclusion = Exclusion(["a", "b"])
    assert exclusion.covers("a", folder=False)
    assert exclusion.covers("b", folder=False)
    assert not Exclusion([]).covers("a", folder=False)


@pytest.mark.parametrize("pattern", ["", "/", "//", "a//b", ".", "..", "../x", "a/./b", "a/.."])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no pattern for names or paths in a tree"):
        Exclusion([pattern])
