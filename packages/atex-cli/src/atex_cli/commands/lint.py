"""`atex lint`: what is wrong with a tree, before anything runs."""

from pathlib import Path

import click
from atex_executor import folder_of_test
from atex_fmf import Finding, FmfError, lint

from atex_cli.commands.options import verbose_option
from atex_cli.commands.tree import Context, context_option, tree_argument
from atex_cli.errors import Refused
from atex_cli.exit_codes import FINDINGS, PASSED
from atex_cli.terminal import Terminal, printable


@click.command("lint", short_help="Say what is wrong with a tree.")
@tree_argument
@context_option
@verbose_option
def command(tree: str, context: Context) -> int:
    """Look at all tests and plans of the fmf tree in TREE (by default the current folder).

    A line for each finding: file, line, what it is, and which tests and plans have it. Exit codes: 0 nothing or
    only remarks, 1 findings, 64 usage.
    """
    terminal = Terminal()
    try:
        findings = lint(tree, context=context, odd_name=_odd_name)
    except FmfError as error:
        raise Refused(str(error)) from error
    for finding in findings:
        terminal.say(printable(_line(finding)))
    return PASSED if all(finding.remark for finding in findings) else FINDINGS


def _odd_name(test: str) -> str:
    """Return what is to be said of a name whose folder in a run is called otherwise."""
    folder = f"/{folder_of_test(test)}"
    return "" if folder == test else f"the name needs escaping: its folder in a run is {folder}"


def _line(finding: Finding) -> str:
    file = Path(finding.file)
    here = Path.cwd()
    shown = file.relative_to(here) if file.is_relative_to(here) else file
    place = f"{shown}:{finding.line}" if finding.line else str(shown)
    remark = "remark: " if finding.remark else ""
    return f"{place}: {remark}{finding.problem}{_names(finding)}"


def _names(finding: Finding) -> str:
    if not finding.names:
        return ""
    first, *others = finding.names
    return f" ({first} and {len(others)} more)" if others else f" ({first})"
