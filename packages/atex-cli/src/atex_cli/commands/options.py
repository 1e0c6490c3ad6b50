"""How several commands get the same options."""

from collections.abc import Callable
from typing import Any, TypeVar

Command = TypeVar("Command", bound=Callable[..., Any])


def with_options(command: Command, *options: Callable[[Command], Command]) -> Command:
    """Add `options` to `command`, so that its help has them in this order."""
    for option in reversed(options):
        command = option(command)
    return command
