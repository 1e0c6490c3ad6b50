"""Options that several commands have."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from atex_cli.invocation import Invocation

Command = TypeVar("Command", bound=Callable[..., Any])


def with_options(command: Command, *options: Callable[[Command], Command]) -> Command:
    """Add `options` to `command`, so that its help has them in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def verbose_option(command: Command) -> Command:
    """Add -v, of which the command itself need know nothing."""
    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_be_verbose,
        help="Say on stderr what happens, and show tracebacks.",
    )(command)


def _be_verbose(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    invocation = ctx.ensure_object(Invocation)
    invocation.verbose = value
    invocation.start_logging()
