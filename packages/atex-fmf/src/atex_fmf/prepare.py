"""Phases of `prepare` and `finish`."""

from textwrap import dedent

from .context import Context
from .model import Phase
from .node import Keys
from .step import StepPhase, refuse_other_keys, step_phases

_SHELL_KEYS = frozenset({"script"})
# `check-first: true` is what tmt does unless told otherwise, and what is done here.
_INSTALL_KEYS = frozenset({"package", "exclude", "missing", "check-first"})
_HOWS = {"prepare": ("shell", "install"), "finish": ("shell",)}


def read_phases(plan: Keys, step: str, context: Context) -> tuple[Phase, ...]:
    """The phases of prepare or of finish that run in this context, in their order. Raises MetadataError."""
    return tuple(
        _read(phase, _HOWS[step]) for phase in step_phases(plan, step, context) if phase.runs
    )


def _read(phase: StepPhase, hows: tuple[str, ...]) -> Phase:
    if phase.how not in hows:
        raise phase.keys.error(
            f"how: {phase.how} is not supported, only {' and '.join(hows)}", key="how"
        )
    return _install(phase) if phase.how == "install" else _shell(phase)


def _shell(phase: StepPhase) -> Phase:
    keys = phase.keys
    refuse_other_keys(keys, _SHELL_KEYS)
    return Phase(
        name=phase.name,
        how=phase.how,
        script=tuple(dedent(script) for script in keys.strings("script")),  # as tmt has it
        order=phase.order,
        metadata=dict(keys.data),
    )


def _install(phase: StepPhase) -> Phase:
    keys = phase.keys
    refuse_other_keys(keys, _INSTALL_KEYS)
    missing = keys.string("missing", "fail")
    if missing not in ("fail", "skip"):
        raise keys.error(f"missing must be fail or skip, not {missing!r}", key="missing")
    if not keys.boolean("check-first", True):
        raise keys.error("check-first: false is not supported", key="check-first")
    return Phase(
        name=phase.name,
        how=phase.how,
        package=keys.strings("package"),
        exclude=keys.strings("exclude"),
        missing=missing,
        order=phase.order,
        metadata=dict(keys.data),
    )
