"""The options that say how machines are reached and used, shared by the commands that take some."""

from collections.abc import Sequence

import click
from atex_fmf import FmfError, parse_duration
from click.core import ParameterSource

from atex_cli.commands.options import Command, with_options
from atex_cli.commands.tree import Context
from atex_cli.errors import Refused
from atex_cli.platforms import Staff, platforms_of
from atex_cli.pools import CHOICES, PoolError
from atex_cli.supply import find_supplies

PURPOSE_OF_RUN = "atex run, results in "  # and the folder
LONGEST = 365 * 24 * 3600.0  # seconds of a lease


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


def check_held(pools: Sequence[str]) -> None:
    """Raise Refused where all `pools` are leases and the command line says how machines are to be reserved."""
    if not all(pool.startswith("lease:") for pool in pools):
        return
    given = given_options("duration", "identity", "host_keys")
    if given:
        raise Refused(
            f"{given}: a machine that is held has its end and its login already, leave this out"
        )


def given_options(*parameters: str) -> str:
    """Return which options of these parameters the command line of the current command has."""
    ctx = click.get_current_context()
    return ", ".join(
        max(option.opts, key=len)
        for option in ctx.command.params
        if option.name in parameters
        and ctx.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
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
    if duration > LONGEST:
        raise click.BadParameter("a lease lasts 365 d at most", ctx, parameter)
    return duration


def read_pools(on: Sequence[str], context: Context, identity: str | None) -> list[Staff]:
    """Return the platforms of the pools `on`, and where their machines come from. Raises Refused."""
    if not on:
        raise Refused(f"which machines? Choose them with --on: {CHOICES}")
    try:
        return platforms_of(find_supplies(on, identity=identity), context)
    except PoolError as error:
        raise Refused(str(error)) from error
