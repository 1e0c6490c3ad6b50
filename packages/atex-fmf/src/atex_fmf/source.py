"""Where the tests of a phase of discover come from: this tree, or another one."""

import os
from typing import NamedTuple
from urllib.parse import quote

from .context import Context
from .node import Node
from .remote import fetch, repository
from .step import StepPhase
from .tree import Rules, Tree, read_tree

SOURCE_KEYS = frozenset({"url", "ref", "path", "url-content-type"})


class Source(NamedTuple):
    """A folder that is brought to each machine, and the fmf tree within."""

    name: str
    """Of the tree in the suite; empty: the suite's own."""
    folder: str
    """Absolute path."""
    top: str = "/"
    """Where in the folder the fmf tree has its top."""

    @property
    def root(self) -> str:
        """The top folder of the fmf tree."""
        return os.path.normpath(self.folder + self.top)


class Trees:
    """The trees that one plan's tests come from, each read once."""

    def __init__(self, own: Tree, context: Context) -> None:
        self.own = own
        """That of the plan."""
        self.context = context
        """Of the plan: what its tests are adjusted to."""
        self.asked: list[tuple[Tree, list[Node]]] = []
        """Which tests of which of them may be selected by their names."""
        self._read: dict[str, Tree] = {}

    def at(self, source: Source, rules: Rules = ()) -> Tree:
        """The tree of a source, adjusted to the plan's context and by further rules."""
        key = f"{source.root}\n{list(rules)}"
        if key not in self._read:
            self._read[key] = self._tree(source, rules)
        return self._read[key]

    def _tree(self, source: Source, rules: Rules) -> Tree:
        if source.root != self.own.root:
            return read_tree(source.root, self.context, rules)
        if self.context == self.own.context and not rules:
            return self.own
        return self.own.adjusted(self.context, rules)


def source_of(phase: StepPhase, own: Tree) -> Source:
    """Where a phase has its tests from; a git repository is fetched for it.

    `url` is a repository, `ref` one of its revisions and `path` a folder within. Without `url`, a `ref`
    is one of the repository that the plan's tree is in; and `path` is a folder of this host, which need
    not be absolute: it is then counted from the top of the tree.

    Raises MetadataError.
    """
    keys = phase.keys
    url, ref, path = (keys.string(key, "") for key in ("url", "ref", "path"))
    if keys.string("url-content-type", "git") != "git":
        raise keys.error("url-content-type: only git is supported", key="url-content-type")
    if ref.startswith("@"):
        raise keys.error(f"ref: {ref}: a ref from a file is not supported", key="ref")
    if not (url or ref or path):
        return Source("", own.root)
    name = quote(phase.name, safe="")  # one name of a folder for each name of a phase
    name = f"%2E{name[1:]}" if name.startswith(".") else name
    if url:
        return Source(name, fetch(url, ref, keys), _within(path))
    folder = os.path.normpath(os.path.join(own.root, path))
    if not ref:
        return Source(name, folder)
    top = repository(folder, keys)
    return Source(name, fetch(top, ref, keys), _within(os.path.relpath(folder, top)))


def _within(path: str) -> str:
    return os.path.normpath(f"/{path}")
