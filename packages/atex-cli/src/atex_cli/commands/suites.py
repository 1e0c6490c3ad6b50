"""The tests of each platform: those of one tree, discovered with each one's context."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from atex_executor import Pack, UnsupportedPhase, check_plan
from atex_fmf import Suite
from atex_provision import Platform

from atex_cli.commands.tree import Context, read_suite
from atex_cli.errors import Refused


def read_suites(
    platforms: Sequence[Platform],
    tree: str,
    plan: str | None,
    tests: Sequence[str],
    context: Context,
    environment: Mapping[str, str],
    exclude: Sequence[str],
) -> list[Suite]:
    """Discover the tests of each platform; see read_suite. Raises Refused, also for what can not be run, and for a
    pattern of `exclude` that can mean nothing."""
    return [
        _checked(read_suite(tree, plan, tests, context, environment, platform.context), exclude)
        for platform in platforms
    ]


def notices_of(platforms: Sequence[Platform], suites: Sequence[Suite]) -> list[str]:
    """Return what the user should know of the tests, each thing once; where it is not so on all platforms, on which."""
    where: dict[str, list[str]] = defaultdict(list)
    for platform, suite in zip(platforms, suites, strict=True):
        for notice in suite.notices:
            where[notice].append(platform.name)
    return [
        notice if len(names) == len(platforms) else f"on {', '.join(names)}: {notice}"
        for notice, names in where.items()
    ]


def _checked(suite: Suite, exclude: Sequence[str]) -> Suite:
    try:
        check_plan(suite.plan)
        Pack(suite, exclude=exclude)
    except UnsupportedPhase as error:
        raise Refused(str(error)) from error
    except ValueError as error:
        raise Refused(f"--exclude {error}") from error
    return suite
