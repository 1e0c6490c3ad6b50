"""`atex run`: from the command line to an orchestrator, and from its summary to an exit code."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import click
from atex_executor import Mask, Pack, UnsupportedPhase, check_plan
from atex_fmf import FmfError, Suite, parse_duration
from atex_orchestrator import Orchestrator, OrchestratorError
from atex_orchestrator.results import FILES, LOG
from atex_provision import HostPool, LocalProvisioner, Platform, local_platform

from atex_cli.closing import print_summary
from atex_cli.commands.tree import Context, read_suite, tree_options
from atex_cli.errors import Refused
from atex_cli.exit_codes import exit_code
from atex_cli.invocation import Invocation
from atex_cli.output import new_folder
from atex_cli.pools import CHOICES, PoolError, PoolName, parse_pools
from atex_cli.progress import Progress
from atex_cli.signals import stopped_by_signals
from atex_cli.terminal import Terminal
from atex_cli.variables import read_environment, read_secrets


def _read_duration(ctx: click.Context, parameter: click.Parameter, value: str) -> float:
    try:
        return parse_duration(value)
    except FmfError as error:
        raise click.BadParameter(str(error), ctx, parameter) from error


@click.command("run", short_help="Run tests on machines.")
@tree_options
@click.option(
    "--on",
    metavar="POOL",
    multiple=True,
    help=f"Where to run: {CHOICES}; 2xlocal asks for two at a time.",
)
@click.option(
    "-e",
    "--environment",
    metavar="VAR[=VALUE]",
    multiple=True,
    help="A variable for all tests; without a value, that of this environment.",
)
@click.option(
    "--secret",
    metavar="VAR",
    multiple=True,
    help="A variable from this environment that is stored and printed nowhere.",
)
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where results go, a new or empty folder.  [default: atex-runs/DATE-TIME]",
)
@click.option(
    "--identity",
    metavar="KEY",
    type=click.Path(exists=True, dir_okay=False, readable=True),
    help="The private key for all ssh machines.",
)
@click.option(
    "--grace",
    metavar="DURATION",
    default="5m",
    show_default=True,
    callback=_read_duration,
    help="How long a test that reached its limit may clean up.",
)
@click.option(
    "--take-over",
    is_flag=True,
    help="End what somebody else runs on the machines, instead of waiting for it.",
)
@click.option(
    "--exclude",
    metavar="PATTERN",
    multiple=True,
    help="What of the tree is not brought to the machines: a name anywhere (`*.iso`) or a path (`/docs/build`).",
)
@click.option("--become", is_flag=True, help="Run tests as root on the machines, by `sudo -n`.")
@click.option("-q", "--quiet", is_flag=True, help="No line for each finished test.")
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
    grace: float,
    take_over: bool,
    exclude: tuple[str, ...],
    become: bool,
    quiet: bool,
) -> int:
    """Run the tests of the fmf tree in TREE (by default the current folder) on machines.

    A free machine takes the next test. Exit codes: 0 passed, 1 some failed, 2 some had an error, 3 nothing to run,
    4 all skipped, 64 usage, 75 some test has no verdict, 130 and 143 interrupted.
    """
    pools = _read_pools(on, identity)
    variables = read_environment(environment, os.environ)
    secrets = read_secrets(secret, os.environ)
    platforms = [_platform(name, context) for name in dict.fromkeys(pool.backend for pool in pools)]
    suites = [
        _supported(
            read_suite(tree, plan, tests, context, variables, platform.context),
            exclude,
        )
        for platform in platforms
    ]
    terminal = Terminal(Mask(secrets.values()))
    for notice in _notices(platforms, suites):
        terminal.complain(f"atex: {notice}")
    folder = output or new_folder()
    invocation.log = folder / LOG
    orchestrator = Orchestrator(
        folder,
        environment=variables,
        secrets=secrets,
        grace=grace,
        take_over=take_over,
        become=become,
        exclude=exclude,
        on_event=Progress(terminal, folder / FILES, width=_longest_name(suites), quiet=quiet),
    )
    for platform, suite in zip(platforms, suites, strict=True):
        orchestrator.add_platform(platform.name, suite, context=platform.context)
    for pool in pools:
        _add_machines(orchestrator, pool)
    return _run(orchestrator, terminal, invocation)


def _read_pools(on: tuple[str, ...], identity: str | None) -> list[PoolName]:
    if not on:
        raise Refused(f"which machines? Choose them with --on: {CHOICES}")
    try:
        return parse_pools(on, identity=identity)
    except PoolError as error:
        raise Refused(f"--on {error}") from error


def _platform(name: str, context: Context) -> Platform:
    """Return the platform of a backend: this machine's own for `local`; -c is for all, and wins."""
    known = local_platform().context if name == "local" else {}
    chosen = {key: tuple(values) for key, values in context.items()}
    return Platform(name, {**known, **chosen})


def _supported(suite: Suite, exclude: Sequence[str]) -> Suite:
    try:
        check_plan(suite.plan)
        Pack(suite, exclude=exclude)
    except UnsupportedPhase as error:
        raise Refused(str(error)) from error
    except ValueError as error:
        raise Refused(f"--exclude {error}") from error
    return suite


def _notices(platforms: Sequence[Platform], suites: Sequence[Suite]) -> list[str]:
    """Return what the user should know of the tests, each thing once; where it is not so on all platforms, on which."""
    where: dict[str, list[str]] = defaultdict(list)
    for platform, suite in zip(platforms, suites, strict=True):
        for notice in suite.notices:
            where[notice].append(platform.name)
    return [
        notice if len(names) == len(platforms) else f"on {', '.join(names)}: {notice}"
        for notice, names in where.items()
    ]


def _longest_name(suites: Sequence[Suite]) -> int:
    return max((len(test.name) for suite in suites for test in suite.tests), default=0)


def _add_machines(orchestrator: Orchestrator, pool: PoolName) -> None:
    """Add the machines of a pool; each named host by itself, so that what fails of it is said of it."""
    if pool.backend == "local":
        orchestrator.add_provisioner(
            LocalProvisioner, max_workers=pool.machines, platform=pool.backend, name=pool.text
        )
    for host in pool.hosts:
        orchestrator.add_provisioner(
            HostPool([host]).provisioner, platform=pool.backend, name=f"ssh:{host.name}"
        )


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
        complete=not summary.missing and summary.stopped is None,
        signal=signals[0] if signals else None,
    )
