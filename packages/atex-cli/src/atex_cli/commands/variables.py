"""Variables for tests and phases, from the command line and from the caller's environment."""

from collections.abc import Iterable, Mapping

import click

from atex_cli.commands.options import Command, with_options
from atex_cli.errors import Refused


def variable_options(command: Command) -> Command:
    """Add -e and --secret; they arrive as `environment` and `secret`."""
    return with_options(
        command,
        click.option(
            "-e",
            "--environment",
            metavar="VAR[=VALUE]",
            multiple=True,
            help="A variable for all that runs there; without a value, that of this environment.",
        ),
        click.option(
            "--secret",
            metavar="VAR",
            multiple=True,
            help="A variable from this environment that is stored and printed nowhere.",
        ),
    )


def read_environment(texts: Iterable[str], caller: Mapping[str, str]) -> dict[str, str]:
    """Return what `-e NAME=VALUE` and `-e NAME` ask for. Raises Refused for a name that `caller` lacks."""
    environment = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise Refused(f"{text!r}: a variable needs a name")
        environment[name] = value if equals else _look_up(name, caller, ", or give NAME=VALUE")
    return environment


def read_secrets(names: Iterable[str], caller: Mapping[str, str]) -> dict[str, str]:
    """Return what `--secret NAME` asks for. Raises Refused, and never quotes a value."""
    secrets = {}
    for text in names:
        name, equals, _value = text.partition("=")
        if equals:
            raise Refused(
                f"--secret {name}: give the name alone and the value by the environment,"
                " where other users do not see it"
            )
        secrets[name] = _look_up(name, caller)
    return secrets


def _look_up(name: str, caller: Mapping[str, str], instead: str = "") -> str:
    try:
        return caller[name]
    except KeyError:
        raise Refused(f"{name} is not set in the environment: set it{instead}") from None
