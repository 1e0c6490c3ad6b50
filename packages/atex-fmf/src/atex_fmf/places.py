"""Finds the line of a key, for a message about it.

The fmf library keeps no lines, so the files are read again, but only when there is something to say.
What a node inherits, adjusts and merges can stand in many files; looked for is the place that gave
a key the value it has. It is the right one wherever values tell, and else the most specific one.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

Path = tuple[str | int, ...]
"""Keys of mappings and positions in lists, from the data of a node down to a value."""

_OPERATORS = ("+", "+<", "-", "-~", "~")  # of fmf: how a key merges with what is inherited
_ADJUST = ("adjust", *(f"adjust{operator}" for operator in _OPERATORS))
_MISSING = object()


class Place(NamedTuple):
    """Where something stands."""

    file: str
    """Absolute path."""
    line: int
    """Counted from 1; 0: not known."""


class _Hit(NamedTuple):
    """A place that may be the one, and how much speaks for it; the greatest is the best."""

    steps: int
    """How much of the path leads there."""
    fits: bool
    """Whether what stands there explains the value of the key."""
    place: Place


class _Layer(NamedTuple):
    """What one file says about a node or one of its ancestors."""

    depth: int
    """0 for the top of the tree: what is deeper overrides."""
    content: Any
    """A composed YAML node."""
    place: Place


class Places:
    """The files of one tree. For one thread at a time."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._documents: dict[str, _Document] = {}

    def find(self, name: str, data: Any, path: Path) -> Place | None:
        """Where the value stands to which `path` leads in the `data` of the node `name`; where it
        stands nowhere, the nearest there is: what it should stand in, or the node itself."""
        layers = sorted(self._layers(name), key=lambda layer: layer.depth)
        best = None
        for layer in layers:
            hit = self._follow(layer.content, path, data, _Hit(0, False, layer.place))
            best = _better(best, hit)
        for layer in layers:
            for rule in _rules(layer.content):
                hit = self._follow(rule, path, data, _Hit(0, False, layer.place))
                if hit.fits and hit.steps == len(path):  # whether others apply is not known here
                    best = _better(best, hit)
        return best and best.place

    def _layers(self, name: str) -> Iterator[_Layer]:
        names = name.strip("/").split("/") if name != "/" else []
        for depth in range(len(names) + 1):
            base = os.path.join(self._root, *names[:depth])
            for file in ([f"{base}.fmf"] if depth else []) + [os.path.join(base, "main.fmf")]:
                content = self._document(file).content
                if content is not None:
                    yield from _descend(_Layer(depth, content, Place(file, 1)), names[depth:])

    def _document(self, file: str) -> "_Document":
        if file not in self._documents:
            self._documents[file] = _Document(file)
        return self._documents[file]

    def _follow(self, content: Any, path: Path, data: Any, hit: _Hit) -> _Hit:
        """The best place that the path leads to from `hit`, whose composed node is `content` and
        whose value is `data`."""
        if not path:
            return hit
        step, *rest = path
        value = _value(data, step)
        best = hit
        document = self._document(hit.place.file)
        for key, operator, child in _children(content, step, value, document):
            place = Place(hit.place.file, key.start_mark.line + 1)
            fits = _fits(document.value(child), operator, value)
            found = self._follow(child, tuple(rest), value, _Hit(hit.steps + 1, fits, place))
            best = _better(best, found)
        return best


class _Document:
    """A file, composed: nodes with their lines. Empty where the file cannot be read."""

    def __init__(self, file: str) -> None:
        self.content = None
        try:
            with open(file, encoding="utf-8") as stream:
                text = stream.read()
            yaml = YAML(typ="safe")  # as fmf does it
            self.content = yaml.compose(text)
            self._constructor = yaml.constructor
            if self.content is not None:
                self.value(self.content)  # which puts in what `<<` stands for
        except (OSError, ValueError, YAMLError):
            self.content = None

    def value(self, content: Any) -> Any:
        """What a composed node stands for."""
        return self._constructor.construct_object(content, deep=True)


def _descend(layer: _Layer, names: Sequence[str]) -> Iterator[_Layer]:
    """The layer, and those of the keys in it, like `/a` or `/a/b`, that lead towards the node."""
    yield layer
    if not names:
        return
    for key, content in _pairs(layer.content):
        steps = key.value.strip("/").split("/")
        if key.value.startswith("/") and steps == list(names[: len(steps)]):
            place = Place(layer.place.file, key.start_mark.line + 1)
            yield from _descend(
                _Layer(layer.depth + len(steps), content, place), names[len(steps) :]
            )


def _pairs(content: Any) -> Iterator[tuple[Any, Any]]:
    """The keys and values of a mapping. No path leads through a key that is no scalar."""
    if isinstance(content, MappingNode):
        yield from (pair for pair in content.value if isinstance(pair[0], ScalarNode))


def _rules(content: Any) -> Iterator[Any]:
    """The `adjust` rules of a mapping."""
    for key, rules in _pairs(content):
        if key.value in _ADJUST:
            yield from rules.value if isinstance(rules, SequenceNode) else [rules]


def _children(
    content: Any, step: str | int, value: Any, document: _Document
) -> Iterator[tuple[Any, str, Any]]:
    """What a step leads to: where it stands, its merge operator, and the node."""
    if isinstance(step, str):
        for key, child in _pairs(content):
            if key.value == step:
                yield key, "", child
            elif key.value.startswith(step) and (operator := key.value[len(step) :]) in _OPERATORS:
                yield key, operator, child
    elif isinstance(content, MappingNode):  # fmf merges a mapping into each item of a list
        yield content, "+", content
    elif isinstance(content, SequenceNode):
        items = content.value
        same = [item for item in items if document.value(item) == value]
        for item in same or items[step : step + 1]:  # `+` makes positions differ
            yield item, "", item


def _value(data: Any, step: str | int) -> Any:
    try:
        return data[step]
    except (LookupError, TypeError):
        return _MISSING


def _fits(written: Any, operator: str, value: Any) -> bool:
    if operator == "":
        return bool(written == value)
    if operator not in ("+", "+<"):
        return False
    if isinstance(value, list) and isinstance(written, list):
        return all(item in value for item in written)
    if isinstance(value, str):
        return isinstance(written, str) and written in value
    return True


def _better(best: _Hit | None, hit: _Hit) -> _Hit:
    """The one that more speaks for; the later one where that is equal."""
    return hit if best is None or hit[:2] >= best[:2] else best
