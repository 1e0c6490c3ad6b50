"""`atex gc`: gives back the machines that a dead process left."""

import time
from collections.abc import Sequence
from pathlib import Path

import click
from atex_orchestrator import FolderUnreadable
from atex_orchestrator.garbage import NotGivenBack, give_back_all
from atex_orchestrator.results import read_run
from atex_provision import Holder, JournalError, Lease, LeaseJournal

from atex_cli.commands.machines import PURPOSE_OF_RUN, read_duration
from atex_cli.commands.options import verbose_option
from atex_cli.errors import Refused
from atex_cli.exit_codes import INFRASTRUCTURE, PASSED
from atex_cli.moments import age, moment
from atex_cli.table import table
from atex_cli.terminal import Terminal

LONGEST = 1000  # characters of why something could not be given back, and of how to log in
HEADINGS = ("LEASE", "MACHINE", "AGE", "STATE", "PURPOSE")


@click.command("gc", short_help="Give back machines that a dead process left.")
@click.argument("names", metavar="[LEASE]...", nargs=-1)
@click.option("--dry", is_flag=True, help="Only say what there is.")
@click.option(
    "--older-than",
    metavar="AGE",
    callback=read_duration,
    help="Only leases that began so long ago or earlier, as in 1d or 12h.",
)
@verbose_option
def command(names: tuple[str, ...], dry: bool, older_than: float | None) -> int:
    """Show the machines that processes of atex left reserved when they died, and give them back.

    A run that was killed can go on with them instead (atex run --resume); afterwards it gets other ones.
    What still runs there is ended first. What a living process holds or uses is not touched. A machine that was kept on
    purpose (atex run --hold-failed) is given back when its time is up, or when its LEASE is named.

    Exit codes: 0 all is given back that should be, 64 usage, 75 something could not be given back.
    """
    if names and older_than is not None:
        raise Refused("a LEASE that is named is given back however old it is: omit --older-than")
    terminal = Terminal()
    journal = LeaseJournal()
    try:
        leases, problems = journal.leases(), journal.problems()
    except JournalError as error:
        raise Refused(str(error)) from error
    for problem in problems:
        terminal.complain(f"atex: {terminal.quote(problem)}")
    wanted = _named(leases, [name.removeprefix("lease:") for name in names]) if names else leases
    latest = time.time() - (older_than or 0.0)
    shown = [lease for lease in wanted if _nobody_holds(lease) and lease.created <= latest]
    if not shown:
        terminal.say("Nothing is left behind.")
        return PASSED
    _show(shown, terminal)
    for run in _killed_runs(shown):
        terminal.say(f"atex run --resume {terminal.quote(run, LONGEST)}  # goes on with that run")
    if dry:
        return PASSED
    free = [lease for lease in shown if lease.used_by is None]
    due = [lease for lease in free if names or not lease.in_use]
    code = _give_back(due, journal, terminal)
    if len(due) < len(free):
        terminal.say("What is kept is given back by name: atex gc LEASE")
    return code


def _nobody_holds(lease: Lease) -> bool:
    return lease.kept or not lease.held


def _named(leases: Sequence[Lease], names: Sequence[str]) -> list[Lease]:
    """Return the leases of these names. Raises Refused where there is none, or a living process has it or uses it."""
    there = {lease.name: lease for lease in leases}
    for name in names:
        if name not in there:
            raise Refused(f"there is no lease {name}; there are: {', '.join(there) or 'none'}")
        if not _nobody_holds(there[name]):
            raise Refused(
                f"{there[name].held_by()}: it gives the machine back when it ends"
                f"{_how_to_end(there[name].holder)}"
            )
        if user := there[name].used_by:
            raise Refused(
                f"{user} uses the machine of lease {name}: try again when it has ended"
                f"{_how_to_end(user)}"
            )
    return [there[name] for name in dict.fromkeys(names)]


def _how_to_end(holder: Holder) -> str:
    return f" (kill -INT {holder.pid})" if holder.visible() else ""


def _show(leases: Sequence[Lease], terminal: Terminal) -> None:
    """Print a table, and below each machine that was kept how to log in."""
    headings, *rows = table(HEADINGS, [_row(lease, terminal) for lease in leases])
    terminal.say(headings)
    for lease, row in zip(leases, rows, strict=True):
        terminal.say(row)
        if lease.kept and lease.in_use and lease.login:
            terminal.say(f"    {terminal.quote(lease.login, LONGEST)}")


def _row(lease: Lease, terminal: Terminal) -> tuple[str, ...]:
    state = "left behind"
    if user := lease.used_by:
        state = f"used by {user}"
    elif lease.kept:
        state = f"kept until {moment(lease.ends)}" if lease.in_use else "kept, its time is up"
    return (
        lease.name,
        "-" if lease.machine in {"", lease.name} else terminal.quote(lease.machine),
        age(time.time() - lease.created),
        state,
        terminal.quote(lease.purpose.removeprefix(PURPOSE_OF_RUN)),
    )


def _killed_runs(leases: Sequence[Lease]) -> list[str]:
    """Return the folders of the runs that had these leases and did not come to an end."""
    folders = dict.fromkeys(
        lease.purpose.removeprefix(PURPOSE_OF_RUN)
        for lease in leases
        if lease.purpose.startswith(PURPOSE_OF_RUN) and not lease.kept
    )
    return [folder for folder in folders if _is_open(Path(folder))]


def _is_open(run: Path) -> bool:
    try:
        return read_run(run).ended is None
    except FolderUnreadable:
        return False


def _give_back(leases: Sequence[Lease], journal: LeaseJournal, terminal: Terminal) -> int:
    failed = False
    for lease, outcome in give_back_all(leases, journal):
        if isinstance(outcome, NotGivenBack):
            failed = True
            terminal.complain(
                f"atex: {lease.name} is not given back: {terminal.quote(str(outcome), LONGEST)}"
            )
        else:
            terminal.say(f"{lease.name} {outcome}")
    return INFRASTRUCTURE if failed else PASSED
