"""The phases of a step of a plan: their names, their order, and which of them run."""

import itertools
from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

from .context import Context
from .model import DEFAULT_ORDER
from .node import Keys
from .when import holds

# Keys that every phase may have: here they are read, or of no consequence.
COMMON_KEYS = frozenset({"how", "name", "summary", "order", "when"})


class StepPhase(NamedTuple):
    """A phase as the plan has it."""

    keys: Keys
    name: str
    """Unique within its step."""
    order: int
    runs: bool
    """Whether one of the rules of `when` holds, or there are none."""

    @property
    def how(self) -> str:
        """What kind of phase it is; `shell`, as in tmt, where it does not say."""
        return self.keys.string("how", "shell")


def step_phases(plan: Keys, step: str, context: Context) -> list[StepPhase]:
    """All phases of a step in the order to run them, those that do not run in this context as well.

    A step that the plan does not have is one phase without keys for tmt, and for us none. Raises
    MetadataError.
    """
    listed = plan.mappings(step)
    names = list(_names(listed))
    for phase, name in zip(listed, names, strict=True):
        if names.count(name) > 1:
            raise phase.error(f"two phases are called {name}", key="name")
    phases = [
        StepPhase(keys, name, keys.integer("order", DEFAULT_ORDER), holds(keys, context))
        for keys, name in zip(listed, names, strict=True)
    ]
    return sorted(phases, key=lambda phase: phase.order)


def refuse_other_keys(phase: Keys, known: Set[str]) -> None:
    """A key that is not known may change what runs, so it is not passed over, unless it is off.

    Raises MetadataError.
    """
    known = known | COMMON_KEYS
    for key, value in phase.data.items():
        if key not in known and value not in (None, False, [], {}):
            raise phase.error(
                f"{key} is not supported, and ignoring it could change what runs; supported are "
                f"{', '.join(sorted(known))}",
                key=str(key),
            )


def _names(listed: Sequence[Keys]) -> Iterator[str]:
    """Those without a name get tmt's, default-N, as far as nobody else has it."""
    taken = {phase.string("name", "") for phase in listed}
    spare = (name for n in itertools.count() if (name := f"default-{n}") not in taken)
    for phase in listed:
        yield phase.string("name", "") or next(spare)
