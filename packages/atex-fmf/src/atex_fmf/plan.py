"""Reads a plan: what surrounds the tests, and which tests it selects."""

import itertools
from collections.abc import Sequence, Set

from .errors import AmbiguousPlan, PlanNotFound
from .model import DEFAULT_ORDER, Phase, Plan
from .node import Keys, Node
from .select import Selection
from .tree import Filter

# Keys of a phase that are honoured, or that change nothing here: `prune` is about what tmt copies,
# and ATEX brings the whole tree to a machine.
_DISCOVER_KEYS = {"how", "name", "summary", "order", "prune", "filter", "test", "exclude"}
_SHELL_KEYS = {"how", "name", "summary", "order", "script"}


def find_plan(nodes: Sequence[Node], name: str | None) -> Node | None:
    """The enabled plan of exactly this name; without a name the only one, None if there is none.

    Raises PlanNotFound, AmbiguousPlan, and MetadataError.
    """
    plans = [node for node in nodes if _is_plan(node)]
    enabled = {plan.name: plan for plan in plans if plan.boolean("enabled", True)}
    if name is None:
        if len(enabled) > 1:
            raise AmbiguousPlan(f"the tree has several plans, name one: {', '.join(enabled)}")
        return next(iter(enabled.values()), None)
    if name not in enabled:
        disabled = any(plan.name == name for plan in plans)
        problem = f"the plan {name} is disabled" if disabled else f"there is no plan {name}"
        raise PlanNotFound(f"{problem}; the tree has {', '.join(enabled) or 'none to run'}")
    return enabled[name]


def read_plan(node: Node) -> Plan:
    """What a plan says about anything but the tests to run. Raises MetadataError."""
    if node.get("plan") is not None:
        raise node.error("plan: importing plans is not supported")
    if node.get("environment-file") is not None:
        raise node.error("environment-file is not supported yet; put the variables in environment")
    for phase in node.phases("execute"):
        if phase.string("how", "tmt") != "tmt":
            raise phase.error(f"how: {phase.get('how')} is not supported")
        if phase.get("script") is not None:
            raise phase.error("script is not supported yet; make a test of it")
    return Plan(
        name=node.name,
        prepare=_phases(node, "prepare"),
        finish=_phases(node, "finish"),
        environment=node.environment(),
    )


def read_selection(node: Node) -> Selection:
    """Which tests a plan asks for. Raises MetadataError."""
    phases = node.phases("discover")
    if not phases:
        raise node.error("discover is missing; `discover: {how: fmf}` selects all tests")
    if len(phases) > 1:
        raise node.error("discover: several phases are not supported yet; make several plans")
    (phase,) = phases
    how = phase.string("how", "shell")
    if how != "fmf":
        raise phase.error(f"how: {how} is not supported yet, only fmf (the default is shell)")
    _refuse_other_keys(phase, _DISCOVER_KEYS)
    return Selection(
        filters=[Filter(expression, phase) for expression in phase.strings("filter")],
        names=phase.patterns("test"),
        excluded=phase.patterns("exclude"),
    )


def _is_plan(node: Node) -> bool:
    # To tmt whatever has `execute` or `plan` is a plan, and one that inherits `test` is a test as well. A plan for
    # ATEX alone needs no `execute`.
    keys = node.data.keys()
    return bool(keys & {"execute", "plan"}) or ("discover" in keys and "test" not in keys)


def _phases(node: Node, step: str) -> tuple[Phase, ...]:
    """The phases of a step in the order to run them. Those without a name get tmt's, default-N."""
    found = node.phases(step)
    named = {phase.string("name", "") for phase in found}
    spare = (name for n in itertools.count() if (name := f"default-{n}") not in named)
    phases = [_phase(keys, keys.string("name", "") or next(spare)) for keys in found]
    names = [phase.name for phase in phases]
    for name in names:
        if names.count(name) > 1:
            raise node.error(f"{step}: two phases are called {name}")
    return tuple(sorted(phases, key=lambda phase: phase.order))


def _phase(keys: Keys, name: str) -> Phase:
    how = keys.string("how", "shell")
    if how == "shell":
        _refuse_other_keys(keys, _SHELL_KEYS)
    return Phase(
        name=name,
        how=how,
        script=keys.strings("script") if how == "shell" else (),
        order=keys.integer("order", DEFAULT_ORDER),
        metadata=dict(keys.data),
    )


def _refuse_other_keys(phase: Keys, known: Set[str]) -> None:
    """A key that is not known may change what runs, so it is not passed over, unless it is off."""
    for key, value in phase.data.items():
        if key not in known and value not in (None, False):
            raise phase.error(
                f"{key} is not supported yet, and ignoring it could change what runs; "
                f"supported are {', '.join(sorted(known))}"
            )
