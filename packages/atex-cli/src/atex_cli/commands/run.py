"""`atex run`: from the command line to an orchestrator, and from its summary to an exit code."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import click
from atex_executor import Mask
from atex_fmf import Suite
from atex_orchestrator import Orchestrator, OrchestratorError
from atex_orchestrator.results import FILES, LOG
from atex_provision import HostKeys

from atex_cli.closing import print_summary
from atex_cli.commands.machines import (
    PURPOSE_OF_RUN,
    check_held,
    duration_option,
    machine_options,
    read_duration,
    read_pools,
)
from atex_cli.commands.options import verbose_option
from atex_cli.commands.scheduling import Scheduling, check_scheduling, scheduling_options
from atex_cli.commands.suites import notices_of, read_suites
from atex_cli.commands.tree import Context, context_option, selection_options, tree_argument
from atex_cli.commands.variables import read_environment, read_secrets, variable_options
from atex_cli.errors import Refused
from atex_cli.exit_codes import exit_code
from atex_cli.invocation import Invocation
from atex_cli.output import output_folder
from atex_cli.pools import CHOICES
from atex_cli.progress import Progress
from atex_cli.signals import stopped_by_signals
from atex_cli.supply import Terms
from atex_cli.terminal import Terminal


@click.command("run", short_help="Run tests on machines.")
@tree_argument
@context_option
@selection_options
@click.option(
    "--on",
    metavar="POOL",
    multiple=True,
    help=f"Where to run: {CHOICES}; ssh:@FILE and podman:@FILE describe pools; 2xlocal asks for two at a time.",
)
@variable_options
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where results go, a new or empty folder.  [default: atex-runs/DATE-TIME]",
)
@click.option(
    "--grace",
    metavar="DURATION",
    default="5m",
    show_default=True,
    callback=read_duration,
    help="How long a test that reached its limit may clean up.",
)
@duration_option
@machine_options
@click.option(
    "--hold-failed",
    is_flag=True,
    help="Keep the machine of a failed test, one for each platform, until its time is up; say how to log in.",
)
@scheduling_options
@click.option("-q", "--quiet", is_flag=True, help="No line for each finished test.")
@verbose_option
@click.pass_obj
def command(
    invocation: Invocation,
    tree: str,
    plan: str | None,
    tests: tuple[str, ...],
    context: Context,
    on: tuple[str, ...],
    environment: tuple[str, ...],
    secret: tuple[str, ...],
    output: Path | None,
    identity: str | None,
    duration: float,
    grace: float,
    host_keys: HostKeys,
    take_over: bool,
    exclude: tuple[str, ...],
    become: bool,
    hold_failed: bool,
    quiet: bool,
    **scheduling: Unpack[Scheduling],
) -> int:
    """Run the tests of the fmf tree in TREE (by default the current folder) on machines.

    A free machine takes the next test. Exit codes: 0 passed, 1 some failed, 2 some had an error, 3 nothing to run,
    4 all skipped, 64 usage, 75 some test has no verdict, 130, 143 and 129 interrupted.
    """
    staffs = read_pools(on, context, identity)
    check_held(on)
    check_scheduling(scheduling)
    variables = read_environment(environment, os.environ)
    secrets = read_secrets(secret, os.environ)
    platforms = [staff.platform for staff in staffs]
    suites = read_suites(platforms, tree, plan, tests, context, variables, exclude)
    terminal = Terminal(Mask(secrets.values()))
    for notice in notices_of(platforms, suites):
        terminal.complain(f"atex: {notice}")
    folder = output_folder(output)
    invocation.log = folder / LOG
    orchestrator = Orchestrator(
        folder,
        environment=variables,
        secrets=secrets,
        grace=grace,
        take_over=take_over,
        become=become,
        exclude=exclude,
        hold_failed=hold_failed,
        **scheduling,
    )
    orchestrator.subscribe(
        Progress(terminal, folder / FILES, width=_longest_name(suites), quiet=quiet)
    )
    terms = Terms(
        duration=duration,
        purpose=f"{PURPOSE_OF_RUN}{folder.absolute()}",
        take_over=take_over,
        host_keys=host_keys,
    )
    for staff, suite in zip(staffs, suites, strict=True):
        platform = staff.platform
        orchestrator.add_platform(platform.name, suite, context=platform.context)
        for supply in staff.supplies:
            orchestrator.add_provisioner(
                supply.open(terms),
                max_workers=supply.machines,
                platform=platform.name,
                name=supply.pool,
            )
    return _run(orchestrator, terminal, invocation)


def _longest_name(suites: Sequence[Suite]) -> int:
    return max((len(test.name) for suite in suites for test in suite.tests), default=0)


def _run(orchestrator: Orchestrator, terminal: Terminal, invocation: Invocation) -> int:
    try:
        with stopped_by_signals(orchestrator) as signals:
            invocation.signals = signals
            summary = orchestrator.run()
            print_summary(summary, terminal)
    except OrchestratorError as error:
        raise Refused(str(error)) from error
    return exit_code(
        summary.counts,
        complete=not (summary.missing or summary.stopped or summary.held),
        signal=signals[0] if signals else None,
    )
