"""A node of an fmf tree, and the reading of its keys: types are checked, and an error says where
the value stands."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .errors import MetadataError
from .places import Path, Places


class Origin(NamedTuple):
    """The node that keys belong to."""

    name: str
    file: str
    data: Mapping[str, Any]
    places: Places


class Keys:
    """The keys of a node, or of a mapping within one. A key whose value is null counts as absent.

    All readers raise MetadataError for a value of the wrong type.
    """

    def __init__(self, data: Mapping[str, Any], *, origin: Origin, path: Path = ()) -> None:
        self.data = data
        self.name = origin.name
        """Of the node, like "/tests/smoke"."""
        self.file = origin.file
        """Absolute path of the last file that defines the node."""
        self._origin = origin
        self._path = path  # from the data of the node to these

    def inside(self, *path: str | int) -> "Keys":
        """The mapping to which keys, and positions in lists, lead from here."""
        data = self.data
        for step in path:
            data = data[step]  # type: ignore[index]
        return Keys(data, origin=self._origin, path=(*self._path, *path))

    def replaced(self, data: Mapping[str, Any]) -> "Keys":
        """Other data in the same place: what it is made from is what the files have."""
        return Keys(data, origin=self._origin, path=self._path)

    def error(self, problem: str, *, key: str | Path = ()) -> MetadataError:
        """The problem, for the caller to raise, and the place of the key it is about (or of what a
        path of keys leads to); where there is none, the place of all of these keys."""
        path = (*self._path, *([key] if isinstance(key, str) else key))
        place = self._origin.places.find(self.name, self._origin.data, path)
        file, line = place or (self.file, 0)
        within = "".join(f"{step}: " for step in self._path if isinstance(step, str))
        return MetadataError(f"{within}{problem}", name=self.name, file=file, line=line, path=path)

    def get(self, key: str, default: Any = None) -> Any:
        """The value as it is."""
        value = self.data.get(key)
        return default if value is None else value

    def string(self, key: str, default: str) -> str:
        value = self.get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, "a string")
        return value

    def boolean(self, key: str, default: bool) -> bool:
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def is_default(self, key: str, default: bool) -> bool:
        """Whether a boolean is what it is without the key. As in tmt, null is neither true nor false."""
        return self.data.get(key, default) is not None and self.boolean(key, default) is default

    def integer(self, key: str, default: int) -> int:
        value = self.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(key, "a whole number")
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        """A string, or a list of them."""
        values = self._list(key)
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(key, "a string or a list of strings")
        return values

    def values(self, key: str) -> dict[str, list[str]]:
        """A mapping of names to a value or a list of values, which `str()` turns into strings."""
        mapping = self.get(key, {})
        if not isinstance(mapping, dict):
            raise self._wrong(key, "a mapping")
        return {
            str(name): [str(value) for value in (values if isinstance(values, list) else [values])]
            for name, values in mapping.items()
        }

    def patterns(self, key: str) -> tuple[re.Pattern[str], ...]:
        """A regular expression, or a list of them."""
        return tuple(self.pattern(key, text) for text in self.strings(key))

    def pattern(self, key: str, text: str) -> re.Pattern[str]:
        """The regular expression that a part of the key's value is."""
        try:
            return re.compile(text)
        except re.error as error:
            raise self.error(
                f"{key}: {error.pattern!r} is not a regular expression: {error}", key=key
            ) from error

    def environment(self) -> dict[str, str]:
        """The variables. As in tmt, `str()` turns numbers and booleans into strings: "True"."""
        variables = self.get("environment", {})
        if not isinstance(variables, dict):
            raise self._wrong("environment", "a mapping of names to values")
        if not variables:
            return {}
        keys = self.inside("environment")
        return {_variable_name(keys, name): _variable_value(keys, name) for name in variables}

    def mappings(self, key: str) -> list["Keys"]:
        """A mapping, or a list of them."""
        values = self._list(key)
        if not all(isinstance(value, dict) for value in values):
            raise self._wrong(key, "a mapping or a list of mappings")
        if isinstance(self.get(key), dict):
            return [self.inside(key)]
        return [self.inside(key, position) for position in range(len(values))]

    def _list(self, key: str) -> tuple[Any, ...]:
        value = self.get(key, [])
        return tuple(value) if isinstance(value, list) else (value,)

    def _wrong(self, key: str, wanted: str) -> MetadataError:
        return self.error(f"{key} must be {wanted}, not {_shown(self.data[key])}", key=key)


class Node(Keys):
    """A node of the tree, inherited and adjusted."""

    def __init__(
        self, data: Mapping[str, Any], *, name: str, file: str, folder: str, places: Places
    ) -> None:
        super().__init__(data, origin=Origin(name, file, data, places))
        self.folder = folder
        """Where `file` lies, counted from the top of the tree: begins with "/"."""


def _variable_name(keys: Keys, name: object) -> str:
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise keys.error(f"{name!r} cannot be the name of a variable", key=str(name))
    return name


def _variable_value(keys: Keys, name: str) -> str:
    value = keys.data[name]
    if value is None or isinstance(value, dict | list) or "\0" in str(value):
        raise keys.error(
            f"the value of {name} must be a string, a number, true or false, "
            f'not {_shown(value)}; an empty one is ""',
            key=name,
        )
    return str(value)


def _shown(value: object) -> str:
    """A value for a message: null as YAML has it, long ones cut."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
