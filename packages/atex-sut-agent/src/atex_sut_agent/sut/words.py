"""What stands behind the words of a control line: their arguments, read and checked. `result` is in results.py.

Pure. spec/CONTROL_FILE.md is the source of the grammar; where it leaves a bound open, the docstring here gives it. Each
function raises GrammarError with the reason.
"""

import re
import shlex

from .clock import Limit
from .durations import parse_duration
from .results import GrammarError

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NAME = 255  # bytes, of a mark or a token

_SHOWN = 80  # characters of an argument, in an error
_EXIT_CODE = re.compile(r"[0-9]{1,3}\Z")
_MARK = re.compile(r"[^\s\x00-\x1f\x7f=]+\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_OF_THE_LIMIT = {"refresh": Limit.refresh, "save": Limit.save, "restore": Limit.restore}


def limit_change(argument: str) -> "Callable[[Limit, float], None]":
    """Return what `duration ARGUMENT` does to a limit at present; that raises ValueError where it can not be done."""
    if argument in _OF_THE_LIMIT:
        return _OF_THE_LIMIT[argument]
    sign = argument[:1]
    if sign in ("+", "-"):
        seconds = _seconds(argument[1:])
        return lambda limit, present: limit.move(seconds if sign == "+" else -seconds)
    seconds = _seconds(argument)
    return lambda limit, present: limit.set(seconds, present)


def exit_code(argument: str) -> int:
    """Return the number of `exitcode`, 0 to 255."""
    if not _EXIT_CODE.match(argument) or int(argument) > 255:
        raise GrammarError(
            "'exitcode' needs a number from 0 to 255, not {!r}".format(argument[:_SHOWN])
        )
    return int(argument)


def patience(word: str, argument: str) -> "int | None":
    """Return the seconds that `restart` gives the machine to come back, None where it names none."""
    if not argument:
        return None
    if word == "disconnect":
        raise GrammarError("'disconnect' takes no argument; 'restart' does")
    return _seconds(argument)


def mark(argument: str) -> "tuple[str, str]":
    """Return (name, value) of `mark`. A name has no blank, no control character and at most 255 bytes."""
    name, _, value = argument.partition("=")
    if not _MARK.match(name) or len(name.encode("utf-8")) > MAX_NAME:
        raise GrammarError(
            "'mark' needs NAME or NAME=VALUE, a name being one word of at most {} bytes, not {!r}".format(
                MAX_NAME, argument[:_SHOWN]
            )
        )
    return name, value


def added_test(argument: str) -> "tuple[str, dict[str, str]]":
    """Return (the test's name, its further environment) of `addtest`. A test's name begins with `/`."""
    try:
        name, *variables = shlex.split(argument)
    except ValueError:  # there is nothing, or a quote is open
        raise GrammarError(
            "'addtest' needs NAME [VAR=VALUE ...], quoted as in a shell, not {!r}".format(
                argument[:_SHOWN]
            )
        )
    if not name.startswith("/"):
        raise GrammarError("'addtest': {!r} is no test's name".format(name[:_SHOWN]))
    environment = {}
    for variable in variables:
        key, equals, value = variable.partition("=")
        if not _VARIABLE.match(key) or not equals or "\0" in value:
            raise GrammarError("'addtest': {!r} is no VAR=VALUE".format(variable[:_SHOWN]))
        environment[key] = value
    return name, environment


def token(argument: str) -> str:
    """Return the token of `sync`, at most 255 bytes."""
    if len(argument.encode("utf-8")) > MAX_NAME:
        raise GrammarError("the token of 'sync' is longer than {} bytes".format(MAX_NAME))
    return argument


def _seconds(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise GrammarError(str(error))
