"""What `atex run` was asked to do, as run.json notes it: `atex run --resume` need not be told again."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec
from atex_orchestrator import FolderUnreadable
from atex_orchestrator.results import read_run
from atex_provision import HostKeys
from click.core import ParameterSource

from atex_cli.commands.scheduling import Scheduling
from atex_cli.commands.tree import Context
from atex_cli.errors import Refused

_ELSEWHERE = ("environment", "secrets", "exclude", "grace")
BESIDE_RESUME = ("resume", "secret", "quiet", "verbose")


class Request(msgspec.Struct, kw_only=True):
    """A command line that was understood, but for where results go and how much is said."""

    folder: str
    """The current folder, where relative paths begin."""
    tree: str
    plan: str | None
    tests: tuple[str, ...]
    context: Context
    on: tuple[str, ...]
    environment: dict[str, str]
    secrets: tuple[str, ...]
    """Names."""
    identity: str | None
    duration: float
    grace: float
    host_keys: HostKeys
    take_over: bool
    exclude: tuple[str, ...]
    become: bool
    hold_failed: bool
    scheduling: Scheduling

    def noted(self) -> dict[str, Any]:
        """Return what run.json has of it under `request`: all that it has in no other place."""
        noted: dict[str, Any] = msgspec.to_builtins(self)
        return {key: value for key, value in noted.items() if key not in _ELSEWHERE}


def read_request(run: Path) -> Request:
    """Return what the run in this folder was asked to do. Raises Refused where `atex run` did not begin it."""
    try:
        info = read_run(run)
    except FolderUnreadable as error:
        raise Refused(str(error)) from error
    if not info.request:
        raise Refused(f"{run} was not begun by atex run: resume it by what began it")
    try:
        elsewhere = {key: getattr(info, key) for key in _ELSEWHERE}
        request = msgspec.convert({**info.request, **elsewhere}, Request)
    except msgspec.ValidationError as error:
        raise Refused(f"{run} was begun by another version of atex: {error}") from error
    request.scheduling["seed"] = info.seed
    return request


def check_alone() -> None:
    """Raise Refused where the command line says what a run that is resumed has noted."""
    ctx = click.get_current_context()
    given = [
        parameter.human_readable_name
        if isinstance(parameter, click.Argument)
        else parameter.opts[-1]
        for parameter in ctx.command.params
        if parameter.name not in BESIDE_RESUME
        and ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    ]
    if given:
        raise Refused(f"{', '.join(given)}: a run is resumed as it was begun, leave this out")


def ask_secrets(names: tuple[str, ...], caller: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets of a run that is resumed: from the environment, or from whoever sits at the terminal.

    Raises Refused where nobody does.
    """
    secrets = {}
    for name in names:
        if name in caller:
            secrets[name] = caller[name]
        elif os.isatty(0):
            secrets[name] = click.prompt(f"secret {name}", hide_input=True, err=True)
        else:
            raise Refused(f"{name} is a secret of this run and not set in the environment: set it")
    return secrets
