"""The options that say which tests are meant, shared by the commands that read a tree."""

import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import click
from atex_fmf import FmfError, Suite, discover, parse_context

from atex_cli.commands.options import Command, with_options
from atex_cli.errors import Refused

_log = logging.getLogger(__name__)

Context = dict[str, list[str]]


def tree_argument(command: Command) -> Command:
    """Add TREE; it arrives as `tree`."""
    return click.argument("tree", default=".")(command)


def context_option(command: Command) -> Command:
    """Add -c; it arrives as `context`."""
    return click.option(
        "-c",
        "--context",
        metavar="KEY=VALUE[,VALUE...]",
        multiple=True,
        callback=_read_context,
        help="A dimension of the fmf context, for all machines; @FILE: those in a file.",
    )(command)


def selection_options(command: Command) -> Command:
    """Add --plan and --test; they arrive as `plan` and `tests`."""
    return with_options(
        command,
        click.option("--plan", metavar="NAME", help="The plan to run, by its whole name."),
        click.option(
            "--test",
            "tests",
            metavar="REGEX",
            multiple=True,
            help="Only tests whose name has a match of this, or of another --test.",
        ),
    )


def read_suite(
    tree: str,
    plan: str | None,
    tests: Sequence[str],
    context: Mapping[str, Any],
    environment: Mapping[str, str] = MappingProxyType({}),
    platform_context: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Suite:
    """Discover the tests that are meant; the plan may refer to the variables of `environment`. Raises Refused where
    the tree, the plan or a pattern is wrong."""
    try:
        return discover(
            tree,
            plan=plan,
            tests=tests,
            context=context,
            environment=environment,
            platform_context=platform_context,
        )
    except FmfError as error:
        raise Refused(str(error)) from error


def _read_context(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> Context:
    try:
        return parse_context(values)
    except FmfError as error:
        raise click.BadParameter(str(error), ctx, parameter) from error
