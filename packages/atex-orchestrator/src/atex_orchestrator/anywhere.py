"""Tests that are bound to no platform: each runs once, on a machine of whichever takes it first. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from atex_fmf import Suite, Test

from atex_orchestrator.errors import SetupError


def numbered(suites: Iterable[Suite], platforms: Mapping[str, Suite]) -> tuple[Test, ...]:
    """Return the tests of `suites` with serials that no test of a platform has.

    Raises SetupError where one of them asks for something that is not on the machines of each platform.
    """
    tests: list[Test] = []
    for suite in suites:
        for platform, own in platforms.items():
            for lacking in _lacking(suite, own):
                raise SetupError(
                    f"tests for any platform can not run on platform {platform}: it has not their {lacking}"
                )
        tests += suite.tests
    last = max((test.serial for suite in platforms.values() for test in suite.tests), default=0)
    return tuple(
        msgspec.structs.replace(test, serial=serial)
        for serial, test in enumerate(tests, start=last + 1)
    )


def joined(platform: Suite, anywhere: Sequence[Test]) -> Suite:
    """Return all that a machine of a platform may run."""
    return msgspec.structs.replace(platform, tests=(*platform.tests, *anywhere))


def _lacking(suite: Suite, platform: Suite) -> Iterator[str]:
    """Yield what `suite` relies on and is not so on a platform, whose own suite this is."""
    if suite.root != platform.root:
        yield f"tree {suite.root}"
    for name, root in suite.trees.items():
        if platform.trees.get(name) != root:
            yield f"tree {name} ({root})"
    for kind in ("prepare", "finish"):
        for phase in getattr(suite.plan, kind):
            if phase not in getattr(platform.plan, kind):
                yield f"{kind} phase {phase.name!r}"
    for variable, value in suite.plan.environment.items():
        if platform.plan.environment.get(variable) != value:
            yield f"variable {variable} of the plan"
