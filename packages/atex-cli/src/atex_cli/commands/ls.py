"""`atex ls`: which tests would run, in the plan's order."""

import json
from typing import Any

import click
from atex_fmf import Test

from atex_cli.commands.options import verbose_option
from atex_cli.commands.tree import (
    Context,
    context_option,
    read_suite,
    selection_options,
    tree_argument,
)
from atex_cli.terminal import Terminal, printable


@click.command("ls", short_help="List the tests that would run.")
@tree_argument
@context_option
@selection_options
@click.option(
    "--json", "as_json", is_flag=True, help="A list of objects, with more about each test."
)
@verbose_option
def command(
    tree: str, plan: str | None, tests: tuple[str, ...], context: Context, as_json: bool
) -> int:
    """List the tests of the fmf tree in TREE (by default the current folder), in the order of the plan."""
    terminal = Terminal()
    suite = read_suite(tree, plan, tests, context)
    for notice in suite.notices:
        terminal.complain(f"atex: {notice}")
    if as_json:
        terminal.say(json.dumps([_describe(test) for test in suite.tests], indent=2, default=str))
    else:
        for test in suite.tests:
            terminal.say(printable(test.name))
    return 0


def _describe(test: Test) -> dict[str, Any]:
    return {
        "name": test.name,
        "serial": test.serial,
        "duration": test.duration,
        "environment": test.environment,
        "require": test.require,
        "recommend": test.recommend,
        "tree": test.tree,
        "path": test.path,
        "tag": test.tag,
        "test": test.test,
    }
