"""The agent's command line, inside its archive: for `bootstrap.py` and `launch.py`, and for who looks what this is.

    python3 agent.pyz attach SESSION [SETTINGS [WORK FOLDER]]
    python3 agent.pyz unpack FOLDER
    python3 agent.pyz tool NAME [ARGUMENT...]

The first hands stdin and stdout to the daemon of the session, which is started with these settings (`settings.py`)
where there is none. The second receives the trees of the session with this folder (`trees.py`). The third is a command
on a test's PATH (`tools/`). Without argparse, whose import takes longer than all else that is done here.
"""

import os
import sys

from .bootstrap import choose_root, explain

_HEXADECIMAL = frozenset("0123456789abcdef")


def main() -> int:
    """Run the command in sys.argv; return the exit code."""
    command, arguments = "".join(sys.argv[1:2]), sys.argv[2:]
    if command == "tool" and arguments:
        from .tools import run_tool  # noqa: PLC0415  # needs nothing else of ours

        return run_tool(*arguments)
    os.umask(0o077)
    try:
        if command == "attach" and len(arguments) in (1, 2, 3):
            _attach(*arguments)
        elif command == "unpack" and len(arguments) == 1:
            from .trees import receive_trees  # noqa: PLC0415  # the daemon does without

            receive_trees(*arguments)
        else:
            sys.stderr.write("{}\nattach or unpack?\n".format(__doc__))
            return 2
    except ValueError as error:
        return _complain(str(error))
    except OSError as error:
        return _complain(explain(error))
    return 0


def _attach(session: str, settings: str = "{}", work: str = "") -> None:
    from .bridge import attach  # noqa: PLC0415  # half of all there is
    from .settings import Settings  # noqa: PLC0415

    if len(session) != 32 or not _HEXADECIMAL.issuperset(session):
        raise ValueError("a session is named by 32 hexadecimal digits")
    folder = os.path.join(choose_root(work), "sessions", session)
    attach(session, folder, os.path.abspath(sys.argv[0]), Settings(settings))


def _complain(why: str) -> int:
    sys.stderr.write("atex agent: {}\n".format(why))
    return 1
