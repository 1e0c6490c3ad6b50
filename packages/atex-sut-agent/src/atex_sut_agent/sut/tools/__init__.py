"""The commands on a test's PATH: clients of its control file (spec/CONTROL_FILE.md, "Also on the test's PATH").

`run_tool()` is run by a process of its own for each call. Starting that is nearly all that a call costs, so each of
them imports nothing that it does not need: no argparse, no socket or signal (they bring enum), json only where it is
read.
"""

import _signal  # type: ignore[import-not-found]  # signal without the enum
import sys

from .errors import ToolError, UsageError

# The commands by their names; the other names of each are those of restraint, its predecessor, and the older atex.
TOOLS = {
    "atex-control": "control",
    "tmt-report-result": "report_result",
    "rstrnt-report-result": "report_result",
    "rhts-report-result": "report_result",
    "atex-report-result": "report_result",
    "tmt-file-submit": "submit_file",
    "rstrnt-report-log": "submit_file",
    "rhts-submit-log": "submit_file",
    "rhts_submit_log": "submit_file",
    "atex-file-submit": "submit_file",
    "tmt-reboot": "reboot",
    "rstrnt-reboot": "reboot",
    "rhts-reboot": "reboot",
    "atex-reboot": "reboot",
    "tmt-abort": "abort",
    "rstrnt-abort": "abort",
    "rhts-abort": "abort",
}


def run_tool(name: str, *words: str) -> int:
    """Run the command `name`; return the exit code: 1 for a failure, 2 for bad usage."""
    # Who is interrupted has to die of it: a shell goes on behind a command that ended in any other way.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    arguments = list(words)
    tool = __import__("sut.tools." + TOOLS[name], fromlist=["run"])
    if "--help" in arguments or arguments == ["-h"]:
        sys.stdout.write("usage: {} {}\n".format(name, tool.USAGE))
        return 0
    try:
        tool.run(name, arguments)
    except UsageError as error:
        sys.stderr.write("{}: {}\nusage: {} {}\n".format(name, error, name, tool.USAGE))
        return 2
    except ToolError as error:
        sys.stderr.write("{}: {}\n".format(name, error))
        return 1
    return 0
