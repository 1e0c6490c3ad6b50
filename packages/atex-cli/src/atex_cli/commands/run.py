"""`atex run`: the command line."""

import os
from pathlib import Path
from typing import Unpack

import click
from atex_provision import HostKeys

from atex_cli.commands.execution import execute
from atex_cli.commands.machines import check_held, duration_option, machine_options, read_duration
from atex_cli.commands.options import verbose_option
from atex_cli.commands.request import Request, ask_secrets, check_alone, read_request
from atex_cli.commands.scheduling import Scheduling, check_scheduling, scheduling_options
from atex_cli.commands.tree import Context, context_option, selection_options, tree_argument
from atex_cli.commands.variables import read_environment, read_secrets, variable_options
from atex_cli.errors import Refused
from atex_cli.invocation import Invocation
from atex_cli.pools import CHOICES


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
@click.option(
    "--resume",
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="Go on with the run in this folder, which was killed or stopped; all else is as it was asked then.",
)
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
    resume: Path | None,
    quiet: bool,
    **scheduling: Unpack[Scheduling],
) -> int:
    """Run the tests of the fmf tree in TREE (by default the current folder) on machines.

    A free machine takes the next test. Exit codes: 0 passed, 1 some failed, 2 some had an error, 3 nothing to run,
    4 all skipped, 64 usage, 75 some test has no verdict, 130, 143 and 129 interrupted.
    """
    if resume is not None:
        check_alone()
        return _resume(resume, secret, invocation, quiet=quiet)
    check_held(on)
    check_scheduling(scheduling)
    request = Request(
        folder=os.getcwd(),
        tree=tree,
        plan=plan,
        tests=tests,
        context=context,
        on=on,
        environment=read_environment(environment, os.environ),
        secrets=secret,
        identity=identity,
        duration=duration,
        grace=grace,
        host_keys=host_keys,
        take_over=take_over,
        exclude=exclude,
        become=become,
        hold_failed=hold_failed,
        scheduling=scheduling,
    )
    return execute(request, read_secrets(secret, os.environ), output, invocation, quiet=quiet)


def _resume(run: Path, secret: tuple[str, ...], invocation: Invocation, *, quiet: bool) -> int:
    """Go on with a run, from the folder where it was begun."""
    request = read_request(run)
    secrets = ask_secrets(tuple(dict.fromkeys((*request.secrets, *secret))), os.environ)
    folder = run.absolute()
    try:
        os.chdir(request.folder)
    except OSError as error:
        raise Refused(f"{run} was begun in {request.folder}: {error.strerror}") from error
    return execute(request, secrets, folder, invocation, quiet=quiet, resume=True)
