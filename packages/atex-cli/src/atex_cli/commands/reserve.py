"""`atex reserve`: holds machines, prepared if wanted, until Ctrl-C."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click
from atex_executor import FolderSink, Mask, Pack, SinkError
from atex_orchestrator.results import FILES, LOG
from atex_provision import HostKeys

from atex_cli.commands.machines import duration_option, given_options, machine_options, read_pools
from atex_cli.commands.options import verbose_option
from atex_cli.commands.suites import notices_of, read_suites
from atex_cli.commands.tree import Context, context_option
from atex_cli.commands.variables import read_environment, read_secrets, variable_options
from atex_cli.errors import Refused
from atex_cli.exit_codes import INFRASTRUCTURE, PASSED, SIGNALLED
from atex_cli.holding import Holding
from atex_cli.invocation import Invocation
from atex_cli.output import output_folder
from atex_cli.pools import NEW, PoolError, parse_pool
from atex_cli.preparing import Preparation
from atex_cli.progress import Progress
from atex_cli.signals import stopped_by_signals
from atex_cli.supply import Terms
from atex_cli.terminal import Terminal

PREPARING = ("plan", "environment", "secret", "output", "exclude", "become")


@click.command(
    "reserve",
    short_help="Hold machines, to log in or to run tests on them.",
    options_metavar="",  # after the pools, lest --prepare takes one for its tree
)
@click.argument("pools", metavar="POOL... [OPTIONS]", nargs=-1)
@duration_option
@click.option(
    "--prepare",
    "tree",
    metavar="[TREE]",
    is_flag=False,
    flag_value=".",
    help="Prepare them for the tests of a tree, by default of the current folder.",
)
@click.option("--plan", metavar="NAME", help="The plan to prepare, by its whole name.")
@context_option
@variable_options
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where the output of prepare goes, a new or empty folder.  [default: atex-runs/DATE-TIME]",
)
@machine_options
@verbose_option
@click.pass_obj
def command(
    invocation: Invocation,
    pools: tuple[str, ...],
    duration: float,
    tree: str | None,
    plan: str | None,
    context: Context,
    environment: tuple[str, ...],
    secret: tuple[str, ...],
    output: Path | None,
    identity: str | None,
    host_keys: HostKeys,
    take_over: bool,
    exclude: tuple[str, ...],
    become: bool,
) -> int:
    """Get machines of each POOL and hold them; say the lease of each, and how to log in.

    POOL is as for `atex run --on`, but no lease. Ctrl-C gives all machines back, and so does the end of the time.
    Meanwhile `atex run --on lease:NAME` runs tests on a machine; one that is prepared is not prepared again.

    Exit codes: 0 the time is over, 64 usage, 75 some machine could not be had or not be given back, 130, 143 and 129
    given back after Ctrl-C, SIGTERM and SIGHUP.
    """
    _check(pools, tree)
    staffs = read_pools(pools, context, identity)
    variables = read_environment(environment, os.environ)
    secrets = read_secrets(secret, os.environ)
    terminal = Terminal(Mask(secrets.values()))
    terms = Terms(
        duration=duration, purpose="atex reserve", take_over=take_over, host_keys=host_keys
    )
    with ExitStack() as stack:
        folder, preparations = Path(), {}
        if tree is not None:
            platforms = [staff.platform for staff in staffs]
            suites = read_suites(platforms, tree, plan, (), context, variables, exclude)
            for notice in notices_of(platforms, suites):
                terminal.complain(f"atex: {notice}")
            folder = output_folder(output)
            terminal.complain(f"atex: the output of prepare goes to {folder}")
            invocation.log = folder / LOG
            prepare = partial(
                Preparation,
                sink=stack.enter_context(_open(folder)),
                environment=variables,
                secrets=secrets,
                take_over=take_over,
                become=become,
            )
            preparations = {
                platform.name: prepare(
                    platform=platform.name,
                    suite=suite,
                    pack=stack.enter_context(Pack(suite, exclude=exclude)),
                )
                for platform, suite in zip(platforms, suites, strict=True)
            }
        holding = Holding(terminal, Progress(terminal, folder / FILES))
        for staff in staffs:
            preparation = preparations.get(staff.platform.name)
            for supply in staff.supplies:
                factory = supply.open(terms)
                for _ in range(supply.machines):
                    holding.add(staff.platform, factory, preparation)
        return _hold(holding, invocation)


def _check(pools: Sequence[str], tree: str | None) -> None:
    """Raise Refused for pools that are none, or none to reserve, and for options that would be of no use."""
    if tree is None and (given := given_options(*PREPARING)):
        raise Refused(f"{given}: only for machines that are prepared, add --prepare")
    if not pools:
        if tree is not None and _is_pool(tree):
            raise Refused(f"`{tree}` was taken for the TREE of --prepare; put POOL first")
        raise Refused(f"which machines? Name a POOL: {NEW}")
    if lease := next((pool for pool in pools if pool.startswith("lease:")), None):
        raise Refused(f"{lease} is held already: run tests on it by `atex run --on {lease}`")


def _is_pool(text: str) -> bool:
    try:
        parse_pool(text)
    except PoolError:
        return False
    return True


def _open(folder: Path) -> FolderSink:
    try:
        return FolderSink(folder)
    except SinkError as error:
        raise Refused(str(error)) from error


def _hold(holding: Holding, invocation: Invocation) -> int:
    with stopped_by_signals(holding) as signals:
        invocation.signals = signals
        outcome = holding.run()
    if signals:
        return SIGNALLED + signals[0]
    return INFRASTRUCTURE if outcome.missed or outcome.left else PASSED
