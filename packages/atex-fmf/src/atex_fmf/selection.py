"""Which tests a plan selects: what the phases of its `discover` find, one after another."""

from collections.abc import Sequence

from .fmf_phase import fmf_tests
from .found import Found
from .node import Keys
from .select import Selection, named, select
from .shell_phase import script_tests, shell_tests
from .source import Source, Trees
from .step import StepPhase, step_phases
from .tree import Tree


def all_tests(trees: Trees) -> list[Found]:
    """What runs without a plan. Raises MetadataError."""
    own = Source("", trees.own.root)
    tree = trees.at(own)
    tests = named(tree.nodes, Selection())
    trees.asked.append((tree, tests))
    return [Found(node.name, node, own, node.folder) for node in select(tests, Selection())]


def selected(plan: Keys, trees: Trees) -> list[Found]:
    """The tests of a plan in the order to run them, as often as they are selected.

    Where there are several phases, also if only one of them runs, the names of tests begin with that of
    their phase. Raises MetadataError and TreeError.
    """
    phases = step_phases(plan, "discover", trees.context)
    scripts = _scripts(plan, phases, trees.own)
    tests = list(scripts) if not phases else []
    for phase in phases:
        if phase.runs:
            found = scripts if scripts and phase is phases[0] else _tests(phase, trees)
            prefix = f"/{phase.name}" if len(phases) > 1 else ""
            tests += [test._replace(name=prefix + test.name) for test in found]
    return tests


def _tests(phase: StepPhase, trees: Trees) -> list[Found]:
    """The tests of one phase, without a prefix."""
    if phase.how == "fmf":
        tests = fmf_tests(phase, trees)
    elif phase.how == "shell":
        tests = shell_tests(phase, trees)
    else:
        raise phase.keys.error(f"how: {phase.how} is not supported, only fmf and shell", key="how")
    names = {test.name for test in tests}
    for required in phase.keys.strings("require-test"):
        if required not in names:
            raise phase.keys.error(
                f"require-test: {required} is not among the {len(tests)} tests that are selected",
                key="require-test",
            )
    return tests


def _scripts(plan: Keys, phases: Sequence[StepPhase], tree: Tree) -> list[Found]:
    """The tests of `execute: script`; as in tmt, they are instead of any that discover asks for."""
    execute = plan.mappings("execute")
    if not execute or not execute[0].get("script", []):
        return []
    for phase in phases:
        if phase.how != "shell" or phase.keys.data.keys() - {"how", "name"}:
            raise execute[0].error("script: use either discover or this, not both", key="script")
    return list(script_tests(execute[0], Source("", tree.root)))
