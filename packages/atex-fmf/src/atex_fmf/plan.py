"""Finds a plan, and reads what surrounds its tests."""

from collections.abc import Mapping

from .context import Context
from .environment import variables_of_plan
from .errors import AmbiguousPlan, PlanNotFound
from .model import Plan
from .node import Keys, Node
from .prepare import read_phases
from .tree import Tree


def plans_of(tree: Tree) -> dict[str, Node]:
    """The enabled plans of a tree by their names, in the order of the tree. Raises MetadataError."""
    plans = [node for node in tree.nodes if is_plan(node)]
    return {plan.name: plan for plan in plans if plan.is_default("enabled", True)}


def find_plan(tree: Tree, name: str | None) -> Node | None:
    """The enabled plan of exactly this name; without a name the only one, None if there is none.

    Raises PlanNotFound, AmbiguousPlan, and MetadataError.
    """
    plans = plans_of(tree)
    if name is None:
        if len(plans) > 1:
            raise AmbiguousPlan(f"the tree has several plans, name one: {', '.join(plans)}")
        return next(iter(plans.values()), None)
    if name not in plans:
        disabled = any(node.name == name for node in tree.nodes if is_plan(node))
        problem = f"the plan {name} is disabled" if disabled else f"there is no plan {name}"
        raise PlanNotFound(f"{problem}; the tree has {', '.join(plans) or 'none to run'}")
    return plans[name]


def read_plan(plan: Keys, from_files: Mapping[str, str], context: Context) -> Plan:
    """What a plan says about anything but the tests to run; `from_files` are the variables of its files.

    Raises MetadataError.
    """
    if plan.get("plan") is not None:
        raise plan.error("plan: importing plans is not supported", key="plan")
    for phase in plan.mappings("execute"):
        if (how := phase.string("how", "tmt")) != "tmt":
            raise phase.error(f"how: {how} is not supported", key="how")
    return Plan(
        name=plan.name,
        prepare=read_phases(plan, "prepare", context),
        finish=read_phases(plan, "finish", context),
        environment={**from_files, **variables_of_plan(plan)},
    )


def is_plan(node: Node) -> bool:
    """Whether it defines a plan, be it to run or not."""
    # To tmt whatever has `execute` or `plan` is a plan; if it inherits `test`, it is a test as well. A plan for ATEX
    # alone needs no `execute`.
    keys = node.data.keys()
    return bool(keys & {"execute", "plan"}) or ("discover" in keys and "test" not in keys)
