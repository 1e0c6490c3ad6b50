"""Another process that reserves a machine, to be asked, and to be killed."""

import os
import pickle
import select
import subprocess
import sys
from pathlib import Path

from atex_provision.provisioner.base import Moment

ANSWER = 60.0  # seconds: an interpreter, imports and a machine, on a loaded box


class Child:
    """A process that makes a provisioner by a pickled recipe, and reserves with it.

    The other end is `child_process.py`. Both speak in lines.
    """

    def __init__(self, recipe: bytes, stop_at: Moment | None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", Path(__file__).with_name("child_process.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert self._process.stdin is not None
        self._process.stdin.write(pickle.dumps((recipe, stop_at)))

    def come(self) -> str:
        """Waits until it has a machine, or stands still at its moment. The name of its lease."""
        return self._hear()

    def ask(self, what: str) -> str:
        """`alive` asks the provisioner; `release` gives the machine back."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n".encode())
        return self._hear()

    def kill(self) -> None:
        """By SIGKILL, and waits for it. May be repeated."""
        self._process.kill()
        self._process.communicate()

    def _hear(self) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], ANSWER)
        assert ready, "the other process has said nothing"
        line = self._process.stdout.readline().decode().strip()
        assert line, "the other process has ended; its last words are on stderr"
        return line
