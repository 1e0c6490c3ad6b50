"""`atex-control`: a line for the control file, for those who can not open a socket; and a result with files."""

import sys

from .client import Client, Log
from .errors import UsageError

USAGE = "WORD [ARGUMENT...]\n   or: atex-control result '{...}' [FILE...]"


def run(name: str, arguments: "list[str]") -> None:
    """Send it, and print what comes back. Raises ToolError."""
    if not arguments:
        raise UsageError("say what")
    if arguments[0] == "result" and len(arguments) > 1 and arguments[1].lstrip()[:1] == "{":
        _send_result(arguments[1], arguments[2:])
        return
    line = " ".join(arguments)
    if "\n" in line:
        raise UsageError("a control line has no line feed")
    client = Client()
    client.send(_encode(line) + b"\n")
    _print(client.finish())


def _send_result(text: str, paths: "list[str]") -> None:
    client = Client()
    logs = [Log(path) for path in paths]
    if logs:
        text = _with_files(text, logs)
    client.send_result(_encode(text), logs)
    _print(client.finish())


def _with_files(text: str, logs: "list[Log]") -> str:
    import json  # noqa: PLC0415  # it doubles the time to start

    try:
        result = json.loads(text)
    except ValueError as error:
        raise UsageError("the result is not JSON: {}".format(error))
    if result.get("files"):
        raise UsageError("its files are either in the JSON or arguments")
    result["files"] = [{"name": log.name, "length": log.length} for log in logs]
    return json.dumps(result)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _print(replies: bytes) -> None:
    sys.stdout.write(replies.decode("utf-8", "replace"))
