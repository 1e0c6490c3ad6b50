"""Files of YAML: which ones are, what is wrong with one, and all that are broken in a tree; the fmf
library stops at the first of them."""

import os
import re
from collections.abc import Iterator

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from .errors import TreeError


def broken_files(folder: str | os.PathLike[str]) -> list[TreeError]:
    """An error for each file that is no YAML mapping in the tree that `folder` is in."""
    root = os.path.abspath(folder)
    while not os.path.isdir(os.path.join(root, ".fmf")):
        root = os.path.dirname(root)
    return [error for file in sorted(_files(root)) if (error := _broken(file))]


def is_yaml(file: str) -> bool:
    """Whether a file that may hold something else is YAML: by its name, as for tmt."""
    return re.search(r"\.ya?ml$", file, re.IGNORECASE) is not None


def yaml_error(error: Exception, file: str) -> TreeError:
    """What the library for YAML says of a file."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    return TreeError(problem, file=file, line=mark.line + 1 if mark else 0)


def _files(root: str) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not os.path.isdir(os.path.join(folder, name, ".fmf"))
        ]
        yield from (
            os.path.join(folder, name)
            for name in files
            if name.endswith(".fmf") and not name.startswith(".")
        )


def _broken(file: str) -> TreeError | None:
    try:
        with open(file, encoding="utf-8") as stream:
            content = YAML(typ="safe").load(stream.read())
    except (OSError, ValueError, YAMLError) as error:
        return yaml_error(error, file)
    if not isinstance(content, dict | None):
        return TreeError("fmf metadata is a mapping", file=file, line=1)
    return None
