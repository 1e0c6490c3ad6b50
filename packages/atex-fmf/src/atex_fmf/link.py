"""Selects tests by their links: `discover: link: verifies:.*issue/85$`."""

import re
from typing import Any, NamedTuple

from .node import Keys

_RELATIONS = (
    "verifies",
    "verified-by",
    "implements",
    "implemented-by",
    "documents",
    "documented-by",
    "blocks",
    "blocked-by",
    "duplicates",
    "duplicated-by",
    "parent",
    "child",
    "relates",
    "test-script",
)
_USUAL = "relates"  # the relation of a link that says none, as in tmt
_NOT_RELATIONS = {"url", "ref", "path", "name", "note"}  # of an fmf id, and what is said of a link


class LinkPattern(NamedTuple):
    """Regular expressions that are searched for in a relation and in its target."""

    relation: re.Pattern[str]
    target: re.Pattern[str]

    def matches(self, test: Keys) -> bool:
        """Whether one of the test's links is like that. Links that are none are passed over."""
        links = test.get("link", [])
        pairs = [pair(link) for link in (links if isinstance(links, list) else [links])]
        return any(
            self.relation.search(relation) and self.target.search(target)
            for relation, target in pairs
            if target
        )


def read_links(phase: Keys) -> list[LinkPattern]:
    """The key `link` of a phase of discover: RELATION:TARGET, or just TARGET. Raises MetadataError."""
    pairs = [text.partition(":") for text in phase.strings("link")]
    return [
        LinkPattern(
            phase.pattern("link", relation if colon else ""),
            phase.pattern("link", target if colon else relation),
        )
        for relation, colon, target in pairs
    ]


def pair(link: Any) -> tuple[str, str]:
    """Relation and target of a link; of an fmf id, the target is its name. Empty for what is no link."""
    if isinstance(link, str):
        relation, _, target = link.partition(":")
        return (relation, target) if relation in _RELATIONS and target else (_USUAL, link)
    if not isinstance(link, dict):
        return ("", "")
    relations = [key for key in link if key not in _NOT_RELATIONS]
    if len(relations) > 1:
        return ("", "")
    relation = relations[0] if relations else _USUAL
    aim: Any = link[relation] if relations else link
    return str(relation), str((aim.get("name") or "") if isinstance(aim, dict) else aim)
