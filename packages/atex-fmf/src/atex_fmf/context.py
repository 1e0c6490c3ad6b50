"""The context: what `adjust` and `when` are decided by. And how a command line says it, in the grammar of
`tmt --context`.

    argument = word {white space, word}     quotes as in a shell
    word     = dimension "=" values
             | "@" file                     YAML where it ends in .yaml or .yml, else lines of words
    values   = value {"," value}

A dimension that is given again replaces what was given before. So it is in tmt 1.78
(`FmfContext.from_spec`); beyond that, a YAML file may have lists, and may lie anywhere.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from .errors import ContextError
from .files import is_yaml, yaml_error
from .node import Keys

Context = Mapping[str, Sequence[str]]
"""The values of each dimension."""


def as_lists(context: Mapping[str, str | Sequence[str]]) -> dict[str, list[str]]:
    """The context with a list for each dimension, also where there is a single value."""
    return {
        name: [values] if isinstance(values, str) else list(values)
        for name, values in context.items()
    }


def parse_context(arguments: Iterable[str]) -> dict[str, list[str]]:
    """The values of each dimension: `["distro=fedora-42 arch=x86_64,s390x", "@more.yaml"]`.

    Files are looked for from the current folder on. Raises ContextError.
    """
    context: dict[str, list[str]] = {}
    for argument in arguments:
        for word in _words(argument):
            context.update(_read_file(word[1:]) if word.startswith("@") else [_dimension(word)])
    return context


def with_context_of(plan: Keys, platform: Context, given: Context) -> Context:
    """The context for the tests and phases of a plan: above what is known of the platform what the plan
    says, and above both what was given. Raises MetadataError."""
    return {**platform, **plan.values("context"), **given}


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments="\n" in text)
    except ValueError as error:
        raise ContextError(f"{text!r}: {error}") from error


def _dimension(word: str) -> tuple[str, list[str]]:
    name, _, values = word.partition("=")
    if not name or not values.strip():
        raise ContextError(f"{word!r} is not DIMENSION=VALUE[,VALUE...]")
    return name, values.split(",")


def _read_file(file: str) -> dict[str, list[str]]:
    try:
        with open(file, encoding="utf-8") as stream:
            text = stream.read()
        if is_yaml(file):
            return dict(_dimensions(YAML(typ="safe").load(text)))
        return dict(_dimension(word) for word in _words(f"{text}\n"))
    except OSError as error:
        raise ContextError(f"@{file}: {error.strerror}") from error
    except YAMLError as error:
        raise ContextError(f"@{yaml_error(error, file)}") from error
    except (ContextError, ValueError) as error:  # ValueError: not UTF-8
        raise ContextError(f"@{file}: {error}") from error


def _dimensions(data: Any) -> Iterator[tuple[str, list[str]]]:
    if not isinstance(data, Mapping | None):
        raise ContextError(f"a mapping of dimensions to values is wanted, not {data!r}")
    for name, value in (data or {}).items():
        if isinstance(value, list) and value and all(_is_plain(item) for item in value):
            yield str(name), [str(item) for item in value]
        elif _is_plain(value):
            yield _dimension(f"{name}={value}")
        else:
            raise ContextError(f"{name}: a value, or a list of values, is wanted, not {value!r}")


def _is_plain(value: object) -> bool:
    return value is not None and not isinstance(value, Mapping | list)
