"""`tmt-reboot` and its older names: restart the machine, and the test behind that."""

import _signal  # type: ignore[import-not-found]  # signal without the enum
import os
import sys

from .client import Client
from .errors import ToolError, UsageError
from .options import parse

USAGE = "[-c COMMAND] [-t SECONDS] [-s] [-e]"
_BEAKER = "/root/EFI_BOOT_ENTRY.TXT"  # a machine that Beaker has installed; what to boot is in its firmware


def run(name: str, arguments: "list[str]") -> None:
    """Announce it, wait until the host has noted that, and do it; does not return then. Raises ToolError."""
    options, others = parse(arguments, ("-c", "-t"), ("-s", "-e"))
    seconds = options.get("-t", "")
    if others or (seconds and not seconds.isdigit()):
        raise UsageError("{} is no option".format(others[0]) if others else "-t takes seconds")
    if "-e" in options:
        sys.stderr.write("{}: -e has no meaning any more\n".format(name))
    command = options.get("-c") or ("systemctl soft-reboot" if "-s" in options else "reboot")
    client = Client()
    client.send("restart {}".format(seconds).rstrip().encode() + b"\n")
    client.replies()  # the door stays open until the host knows
    os.sync()
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    _boot_the_same_again()
    status = os.system(command)
    if status:
        raise ToolError("{!r} failed, the machine is not restarted".format(command))
    while True:
        _signal.pause()  # the test goes no further


def _boot_the_same_again() -> None:
    """Tell a Beaker machine's firmware to start what it has started last."""
    if os.path.exists(_BEAKER):
        os.system(
            'entry=$(efibootmgr 2>/dev/null | sed -n "s/^BootCurrent: *//p"); entry=${{entry:-$(cat {})}}; '
            '[ -z "$entry" ] || efibootmgr -n "$entry" >/dev/null 2>&1'.format(_BEAKER)
        )
