"""The host process that is killed: python -m tests.faults.host ARGUMENTS, which is JSON.

It runs the one test of a tree on a light host, or goes on with the run that a killed one left, and prints the outcome.
"""

import logging
import sys
from pathlib import Path

import msgspec
from atex_executor import Executor, FolderSink, Times, read_journal
from atex_fmf import discover
from atex_provision import Host, SshConnection

TIMES = Times(patience=120.0, linger=300.0, beat=0.3, silence=1.5, handshake=5.0)


class Arguments(msgspec.Struct):
    """What the host process is told."""

    address: str
    identity: str
    tree: str
    run: str


def main(arguments: Arguments) -> None:
    """Run the test, or what is left of it."""
    suite = discover(Path(arguments.tree))
    where = Host(address=arguments.address, user="root", identity=arguments.identity)
    with FolderSink(arguments.run) as sink, SshConnection(where) as connection:
        left = read_journal(arguments.run)
        session = left[0].begun.session if left else None
        with Executor(connection, suite, times=TIMES, session=session) as executor:
            (test,) = executor.suite.tests
            outcome = executor.resume(test, sink, left[0]) if left else executor.run(test, sink)
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    main(msgspec.json.decode(sys.argv[1], type=Arguments))
