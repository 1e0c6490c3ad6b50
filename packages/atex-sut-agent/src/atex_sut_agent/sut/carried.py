"""Imports modules from a dict of their sources. The archive's first file is this text, with the dict behind it.

The agent has some fifty modules, and zipimport takes more than a millisecond for each: a third of the time until an
agent says hello.
"""

import sys

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_ModuleSpec: "type[ModuleSpec]" = type(sys.__spec__)


class Carried:
    """Finds and loads (a meta path hook) what is in `sources`: {path in the archive: text}."""

    def __init__(self, sources: "dict[str, str]") -> None:
        self._sources = sources

    def find_spec(self, name: str, path: object, target: object = None) -> "ModuleSpec | None":
        """Return how to load the module, None where it is not one of ours."""
        stem = name.replace(".", "/")
        for file in (stem + ".py", stem + "/__init__.py"):
            if file in self._sources:
                spec = _ModuleSpec(name, self, is_package=file != stem + ".py")  # type: ignore[arg-type]
                spec.loader_state = file
                return spec
        return None

    def create_module(self, spec: "ModuleSpec") -> None:
        """As usual."""

    def exec_module(self, module: "ModuleType") -> None:
        """Run its source."""
        file = module.__spec__.loader_state  # type: ignore[union-attr]  # find_spec made it
        exec(compile(self._sources[file], file, "exec", dont_inherit=True), module.__dict__)
