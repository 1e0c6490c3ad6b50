"""The options that say how machines are reached and used, shared by the commands that take some."""

from collections.abc import Sequence

import click
from atex_fmf import FmfError, parse_duration

from atex_cli.commands.options import Command, with_options
from atex_cli.commands.tree import Context
from atex_cli.errors import Refused
from atex_cli.platforms import Staff, platforms_of
from atex_cli.pools import CHOICES, PoolError
from atex_cli.supply import find_supplies

PURPOSE_OF_RUN = "atex run, results in "  # and the folder


def duration_option(command: Command) -> Command:
    """Add --for; it arrives as `duration`, in seconds."""
    return click.option(
        "--for",
        "duration",
        metavar="DURATION",
        default="1d",
        show_default=True,
        callback=_read_lease_time,
        help="When the machines are given back at the latest, as in 2h or 1d.",
    )(command)


def machine_options(command: Command) -> Command:
    """Add what is said of all machines; they arrive as `identity`, `host_keys`, `take_over`, `exclude`, `become`."""
    return with_options(
        command,
        click.option(
            "--identity",
            metavar="KEY",
            type=click.Path(exists=True, dir_okay=False, readable=True),
            help="The private key for all ssh machines.",
        ),
        click.option(
            "--host-keys",
            type=click.Choice(["new", "strict"]),
            default="new",
            show_default=True,
            help="Of ssh machines: accept those that are new, or only those that are known.",
        ),
        click.option(
            "--take-over",
            is_flag=True,
            help="End what somebody else runs on the machines, instead of waiting for it.",
        ),
        click.option(
            "--exclude",
            metavar="PATTERN",
            multiple=True,
            help="What of the tree is not brought to machines: a name anywhere (`*.iso`) or a path (`/docs/build`).",
        ),
        click.option(
            "--become", is_flag=True, help="Run everything as root on the machines, by `sudo -n`."
        ),
    )


def read_duration(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> float | None:
    """Return the seconds that an option's value stands for, None where it was not given: its callback."""
    try:
        return None if value is None else parse_duration(value)
    except FmfError as error:
        raise click.BadParameter(str(error), ctx, parameter) from error


def _read_lease_time(ctx: click.Context, parameter: click.Parameter, value: str) -> float:
    duration = read_duration(ctx, parameter, value)
    if not duration:
        raise click.BadParameter("a lease of no time is none", ctx, parameter)
    return duration


def read_pools(on: Sequence[str], context: Context, identity: str | None) -> list[Staff]:
    """Return the platforms of the pools `on`, and where their machines come from. Raises Refused."""
    if not on:
        raise Refused(f"which machines? Choose them with --on: {CHOICES}")
    try:
        return platforms_of(find_supplies(on, identity=identity), context)
    except PoolError as error:
        raise Refused(str(error)) from error
