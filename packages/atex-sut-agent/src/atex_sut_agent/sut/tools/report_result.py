"""`tmt-report-result` and its older names: how a part of the test went, and with it the test.

tmt-report-result [OPTION...] NAME RESULT [SCORE]        also rstrnt-report-result
rhts-report-result NAME RESULT [LOG] [SCORE]             what BeakerLib calls; also atex-report-result, and --rhts
"""

import os
import sys

from .client import Client, Log, result_json
from .errors import ToolError, UsageError
from .options import first_of, parse

USAGE = "[-o LOG] [-t MESSAGE] NAME RESULT [SCORE]"
_LOG = ("-o", "--outputfile")
_MESSAGE = ("-t", "--message")
_IGNORED = ("-s", "--server", "--port", "-p", "--disable-plugin", "--disable")
_FLAGS = ("--no-plugins", "--rhts")


def run(name: str, arguments: "list[str]") -> None:
    """Send a result for the part, if that is not all, and one for the test with the status alone. Raises ToolError."""
    options, others = parse(arguments, _LOG + _MESSAGE + _IGNORED, _FLAGS)
    if len(others) < 2:
        raise UsageError("a name and a result are needed")
    part, status = _part(others[0]), others[1].lower()
    if not status or status == "infra":
        raise UsageError("{!r} is no result".format(others[1]))
    further = others[2:]
    path = first_of(options, _LOG)
    if further and (
        _takes_log(name) or "--rhts" in options or (not path and os.path.isfile(further[0]))
    ):
        path = further.pop(0)
    logs = _logs(name, path or os.environ.get("OUTPUTFILE", ""))
    fields = {"status": status}
    message = first_of(options, _MESSAGE)
    if message:
        fields["note"] = message
    if further and further[0]:
        fields["score"] = further[0]
    client = Client()
    if part:
        fields["name"] = part
    client.send_result(result_json(fields, logs), logs)
    if part:
        client.send_result(result_json({"status": status}))
    client.finish()


def _takes_log(name: str) -> bool:
    return name in ("rhts-report-result", "atex-report-result")


def _part(name: str) -> str:
    """Return the name that the result is to have. "" is the test itself.

    tmt puts a slash before names, restraint's tests begin them with their own; neither means a path of another test.
    """
    name = name[:-1] if name.endswith(":") else name
    own = os.environ.get("TMT_TEST_NAME", "")
    if own and (name == own or name.startswith(own + "/")):
        return name[len(own) + 1 :]
    return name.strip("/")


def _logs(name: str, path: str) -> "list[Log]":
    if not path:
        return []
    try:
        log = Log(path)
    except ToolError as error:
        sys.stderr.write("{}: reported without its log: {}\n".format(name, error))
        return []
    if name == "rhts-report-result":
        log.name = "resultoutputfile.log"  # as tmt calls it; BeakerLib's is a random one
    return [log]
