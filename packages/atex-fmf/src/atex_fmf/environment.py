"""The variables of a plan: its `environment-file`, and above it its `environment`."""

import os
import shlex
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from .files import is_yaml
from .node import Keys


def variables_of_files(plan: Keys, root: str) -> dict[str, str]:
    """What the `environment-file` of a plan holds, in the tree with this root. Later files win over earlier
    ones. Raises MetadataError."""
    variables = {}
    for file in plan.strings("environment-file"):
        variables.update(_read_file(plan, file.strip(), root))
    return variables


def variables_of_plan(plan: Keys) -> dict[str, str]:
    """The `environment` of a plan, which wins over its files. White space around values is taken off, as
    by tmt. Raises MetadataError."""
    return {name: value.strip() for name, value in plan.environment().items()}


def _read_file(plan: Keys, file: str, root: str) -> dict[str, str]:
    """A file of variables: YAML where its name ends so, else NAME=VALUE with the quotes of a shell."""
    if file.startswith("http"):
        raise plan.error(f"environment-file: {file} is not of the tree", key="environment-file")
    try:
        path = os.path.realpath(os.path.join(root, file))
        if os.path.commonpath([path, os.path.realpath(root)]) != os.path.realpath(root):
            raise plan.error(f"environment-file: {file} leaves the tree", key="environment-file")
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        return dict(_of_yaml(text) if is_yaml(file) else _of_lines(text))
    except (OSError, ValueError, YAMLError) as error:
        problem = " ".join(str(error).split())
        raise plan.error(f"environment-file: {file}: {problem}", key="environment-file") from error


def _of_yaml(text: str) -> Iterator[tuple[str, str]]:
    data: Any = YAML(typ="safe").load(text)
    if not isinstance(data, dict | None):
        raise ValueError("it must be a mapping of names to values")
    for name, value in (data or {}).items():
        if isinstance(value, dict | list) or value is None:
            raise ValueError(f"the value of {name} must be a string, a number, true or false")
        yield str(name), str(value)


def _of_lines(text: str) -> Iterator[tuple[str, str]]:
    for word in shlex.split(text, comments=True):
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise ValueError(f"{word!r} is not NAME=VALUE")
        yield name, value
