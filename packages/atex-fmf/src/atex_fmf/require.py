"""What a test needs to be installed: its `require` and `recommend`."""

from typing import Any

from .node import Keys

_LIBRARY = "library("  # how the name of a package says that it is a beakerlib library


def dependencies(test: Keys, key: str) -> tuple[str | dict[str, Any], ...]:
    """Names of packages, and mappings of `type: file`, which name files of the tree: those are on each
    machine anyway.

    Raises MetadataError for a value of another type, and for beakerlib libraries (a mapping without
    `type` is one, as in tmt), which nobody would fetch.
    """
    value = test.get(key, [])
    if not isinstance(value, list):
        return (_dependency(test, value, (key,)),)
    return tuple(_dependency(test, item, (key, index)) for index, item in enumerate(value))


def _dependency(test: Keys, value: Any, path: tuple[str | int, ...]) -> str | dict[str, Any]:
    kind = "package"
    if isinstance(value, dict):
        kind = value.get("type", "library")
    elif not isinstance(value, str):
        raise test.error(
            f"{path[0]} must be a string, a mapping, or a list of them, not {value!r}", key=path
        )
    elif value.startswith(_LIBRARY):
        kind = "library"
    if kind == "library":
        raise test.error(f"{path[0]}: beakerlib libraries like {value} are not supported", key=path)
    if isinstance(value, dict) and kind != "file":
        raise test.error(f"{path[0]}: type: {kind} is not supported, only file", key=path)
    return value
