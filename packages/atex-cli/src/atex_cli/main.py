"""The `atex` command: finds the subcommand, and turns what went wrong into a line and an exit code."""

import importlib
import io
import signal
import sys
from collections.abc import Sequence

import click

from atex_cli import __version__, exit_codes
from atex_cli.invocation import Invocation
from atex_cli.terminal import Terminal

COMMANDS = ("gc", "lint", "ls", "reserve", "run")


class _Commands(click.Group):
    """Imports a command when it is asked for, so that `atex ls` does not pay for what `atex run` needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"atex_cli.commands.{cmd_name}")
        command: click.Command = module.command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="atex", message="%(prog)s %(version)s")
def cli() -> None:
    """Run fmf tests on a pool of machines and lose none of their results."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; the entry point of `atex`. `arguments`: instead of the process's own."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code (see exit_codes); raises nothing."""
    invocation = Invocation()
    complain = Terminal().complain
    try:
        return cli.main(arguments, prog_name="atex", standalone_mode=False, obj=invocation) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return exit_codes.USAGE
    except click.ClickException as error:
        complain(f"atex: {error.format_message()}")
        invocation.show_traceback(error)
        return exit_codes.USAGE
    except (click.Abort, KeyboardInterrupt):
        complain("atex: interrupted")
        return exit_codes.SIGNALLED + signal.SIGINT
    except Exception as error:
        where = invocation.keep_traceback(error)
        complain(f"atex: this is a bug in atex: {type(error).__name__}: {error} ({where})")
        invocation.show_traceback(error)
        return (
            exit_codes.SIGNALLED + invocation.signals[0] if invocation.signals else exit_codes.BUG
        )
