"""How a command says that it will not do what it was asked."""

import click

from atex_cli.exit_codes import USAGE


class Refused(click.ClickException):
    """What was asked can not be done, and no machine was asked for. The message is what the user reads."""

    exit_code = USAGE
