"""The agent's command line, inside its archive: `python3 agent.pyz attach SESSION SETTINGS`, `... unpack FOLDER`."""

import argparse
import os
import re
import sys

from .bootstrap import choose_root, explain
from .bridge import attach
from .settings import Settings

_SESSION = re.compile(r"[0-9a-f]{32}\Z")


def main() -> int:
    """Run the command in sys.argv; return the exit code."""
    parser = argparse.ArgumentParser(prog="agent.pyz", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    attaching = commands.add_parser("attach", help="hand stdin and stdout to the session's daemon")
    attaching.add_argument("session", help="32 hexadecimal digits, chosen by the host")
    attaching.add_argument(
        "settings", help="an object of JSON (settings.py), for a daemon that it starts"
    )
    attaching.add_argument("--work", help="work folder; else the first that is possible")
    unpacking = commands.add_parser(
        "unpack", help="unpack a tar stream from stdin into a new folder"
    )
    unpacking.add_argument("folder")
    arguments = parser.parse_args()
    if not arguments.command:
        parser.error("attach or unpack?")
    os.umask(0o077)
    try:
        if arguments.command == "unpack":
            from .unpack import unpack  # noqa: PLC0415  # a megabyte that the daemon does without

            unpack(arguments.folder)
            sys.stdout.write("ok\n")
        else:
            if not _SESSION.match(arguments.session):
                raise ValueError("a session is named by 32 hexadecimal digits")
            root = choose_root(arguments.work)
            folder = os.path.join(root, "sessions", arguments.session)
            settings = Settings(arguments.settings)
            attach(arguments.session, folder, os.path.abspath(sys.argv[0]), settings)
    except ValueError as error:
        return _complain(str(error))
    except OSError as error:
        return _complain(explain(error))
    return 0


def _complain(why: str) -> int:
    sys.stderr.write("atex agent: {}\n".format(why))
    return 1
