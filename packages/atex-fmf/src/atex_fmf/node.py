"""A node of an fmf tree, and the reading of its keys: types are checked, and an error says where
the value stands."""

import re
from collections.abc import Mapping
from typing import Any

from .errors import MetadataError


class Keys:
    """The keys of a node, or of a phase within one. A key whose value is null counts as absent.

    All readers raise MetadataError for a value of the wrong type.
    """

    def __init__(self, data: Mapping[str, Any], *, name: str, file: str, within: str = "") -> None:
        self.data = data
        self.name = name
        """Of the node, like "/tests/smoke"."""
        self.file = file
        """Absolute path of the last file that defines the node."""
        self._within = within

    def error(self, problem: str) -> MetadataError:
        """The problem and its place, for the caller to raise."""
        return MetadataError(f"{self._within}{problem}", name=self.name, file=self.file)

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

    def dependencies(self, key: str) -> tuple[str | dict[str, Any], ...]:
        """The name of a package or a mapping that describes something else, or a list of them."""
        values = self._list(key)
        if not all(isinstance(value, str | dict) for value in values):
            raise self._wrong(key, "a string, a mapping, or a list of them")
        return values

    def patterns(self, key: str) -> tuple[re.Pattern[str], ...]:
        """A regular expression, or a list of them."""
        try:
            return tuple(re.compile(pattern) for pattern in self.strings(key))
        except re.error as error:
            raise self.error(
                f"{key}: {error.pattern!r} is not a regular expression: {error}"
            ) from error

    def environment(self) -> dict[str, str]:
        """The variables. As in tmt, `str()` turns numbers and booleans into strings: "True"."""
        variables = self.get("environment", {})
        if not isinstance(variables, dict):
            raise self._wrong("environment", "a mapping of names to values")
        return {
            self._variable_name(name): self._variable_value(name, value)
            for name, value in variables.items()
        }

    def phases(self, step: str) -> list["Keys"]:
        """The phases of a step of a plan: a mapping is one phase, a list has any number."""
        values = self._list(step)
        if not all(isinstance(value, dict) for value in values):
            raise self._wrong(step, "a mapping or a list of mappings")
        return [Keys(value, name=self.name, file=self.file, within=f"{step}: ") for value in values]

    def _list(self, key: str) -> tuple[Any, ...]:
        value = self.get(key, [])
        return tuple(value) if isinstance(value, list) else (value,)

    def _variable_name(self, name: object) -> str:
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise self.error(f"environment: {name!r} cannot be the name of a variable")
        return name

    def _variable_value(self, name: str, value: object) -> str:
        if value is None or isinstance(value, dict | list) or "\0" in str(value):
            raise self.error(
                f"environment: the value of {name} must be a string, a number, true or false, "
                f'not {_shown(value)}; an empty one is ""'
            )
        return str(value)

    def _wrong(self, key: str, wanted: str) -> MetadataError:
        return self.error(f"{key} must be {wanted}, not {_shown(self.data[key])}")


class Node(Keys):
    """A node of the tree, inherited and adjusted."""

    def __init__(self, data: Mapping[str, Any], *, name: str, file: str, folder: str) -> None:
        super().__init__(data, name=name, file=file)
        self.folder = folder
        """Where `file` lies, counted from the top of the tree: begins with "/"."""


def _shown(value: object) -> str:
    """A value for a message: null as YAML has it, long ones cut."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
