"""Options as restraint and tmt take them: anywhere between the arguments, in one or two words."""

from .errors import UsageError

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Container


def parse(
    arguments: "list[str]", with_value: "Container[str]", flags: "Container[str]" = ()
) -> "tuple[dict[str, str], list[str]]":
    """Return ({option: its value, "" for a flag}, the other arguments). Raises UsageError."""
    options: "dict[str, str]" = {}
    others: "list[str]" = []
    waiting = list(reversed(arguments))
    while waiting:
        argument = waiting.pop()
        if argument == "--":
            others += reversed(waiting)
            break
        if not argument.startswith("-") or argument[1:2].isdigit() or argument == "-":
            others.append(argument)
            continue
        if argument.startswith("--"):
            name, equals, value = argument.partition("=")
            name = name.lower()
        else:
            name, value = argument[:2], argument[2:]
            equals = value
        if name in flags:
            if not argument.startswith("--") and value:
                waiting.append("-" + value)  # several in one word
            options[name] = ""
        elif name not in with_value:
            raise UsageError("there is no option {}".format(name))
        elif equals:
            options[name] = value
        elif waiting:
            options[name] = waiting.pop()
        else:
            raise UsageError("option {} needs a value".format(name))
    return options, others


def first_of(options: "dict[str, str]", names: "tuple[str, ...]") -> str:
    """Return the value of the first of these options that was given, "" where none was."""
    return next((options[name] for name in names if name in options), "")
