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
    if isinstance(value, str) and not value.startswith(_LIBRARY):
        return value
    if not isinstance(value, str | dict):
        raise test.error(
            f"{path[0]} must be a string, a mapping, or a list of them, not {value!r}", key=path
        )
    kind = "library" if isinstance(value, str) else value.get("type", "library")
    if isinstance(value, dict) and kind == "file":
        return value
    what = f"{value} is a beakerlib library, which" if kind == "library" else f"type: {kind}"
    raise test.error(f"{path[0]}: {what} is not supported", key=path)
