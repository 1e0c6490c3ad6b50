"""A process that runs a test, or goes on with what another one left: `successor.py SPECIFICATION`, a JSON object.

It prints `session ID` once it is attached, and how the test ended, as JSON. Killed with -9 it leaves what it leaves.
"""

import json
import os
import signal
import sys
from contextlib import nullcontext
from typing import Any
from unittest.mock import patch

from atex_executor import Executor, FolderSink, Times, read_journal
from atex_executor.session import Session
from atex_fmf import Suite, Test
from atex_provision import Connection, Host, LocalConnection, SshConnection


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def die(session: Session) -> None:
    """Be killed."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(
    run: str,
    tree: str,
    work: str,
    script: str,
    session: str | None,
    host: dict[str, Any] | None,
    attempt: int,
    forgetful: bool,
) -> None:
    """Run `script`, or go on with it. `forgetful`: die when the record is written, before the agent is told."""
    connection: Connection = SshConnection(Host(**host)) if host else LocalConnection()
    test = Test(name="/test", test=script, serial=1)
    suite = Suite(root=tree, tests=(test,))
    with (
        FolderSink(run) as sink,
        connection,
        Executor(
            connection, suite, session=session, work=work, times=Times(settle=0.5)
        ) as executor,
    ):
        say(f"session {executor.session}")
        left = read_journal(run)
        if left:
            outcome = executor.resume(test, sink, left[0])
        else:
            with patch.object(Session, "recorded", die) if forgetful else nullcontext():
                outcome = executor.run(test, sink, attempt=attempt)
        say(json.dumps([outcome.status, outcome.note]))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
