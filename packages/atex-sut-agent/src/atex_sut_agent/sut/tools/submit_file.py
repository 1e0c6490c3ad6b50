"""`tmt-file-submit` and its older names: files that belong to the test."""

import os

from .client import Client, Log, result_json
from .errors import UsageError
from .options import parse

USAGE = "[-l] FILE..."
_WITH_VALUE = ("-l", "--filename", "-s", "-S", "--server", "-T", "--port")


def run(name: str, arguments: "list[str]") -> None:
    """Send them as files of the test itself. Raises ToolError."""
    options, paths = parse(arguments, _WITH_VALUE)
    paths = [options[option] for option in ("-l", "--filename") if option in options] + paths
    if not paths:
        raise UsageError("which file?")
    client = Client()
    logs = [Log(path) for path in paths if not _is_collected(path)]
    if logs:
        client.send_result(result_json({}, logs), logs)
        client.finish()
    _note_submitted(logs)


def _is_collected(path: str) -> bool:
    """Is it sent at the end of the test anyway?"""
    data = os.environ.get("TMT_TEST_DATA")
    return bool(data) and os.path.realpath(path).startswith(os.path.realpath(data or "") + "/")


def _note_submitted(logs: "list[Log]") -> None:
    path = os.environ.get("TMT_TEST_SUBMITTED_FILES")
    if path and logs:
        try:
            with open(path, "a") as file:
                file.write("".join("{}\n".format(log.name) for log in logs))
        except (OSError, ValueError):
            pass  # for who is interested; nothing of ours reads it
