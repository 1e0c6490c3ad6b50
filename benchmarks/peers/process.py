"""Peers as processes. Each has a session of its own, which ends with it: some leave ssh clients behind."""

import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.peers.environment import peer_python
from tests.machines import LightHost

LIMIT = 300.0  # seconds for an answer


@contextmanager
def peer_process(
    command: Sequence[str],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    errors: int | None = None,
) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a peer with pipes for stdin and stdout, `errors` as stderr; afterwards nothing is left of its session."""
    with subprocess.Popen(
        command,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        cwd=folder,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


class OlderAtex:
    """The older atex, connected to a machine, as `older_atex.py` drives it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def ask(self, question: str) -> float:
        """Send a line, return the number that comes back.

        Raises RuntimeError where the peer ended, TimeoutError where it takes too long.
        """
        if self._process.stdin is not None:
            self._process.stdin.write(question.encode() + b"\n")
        return float(self.line())

    def line(self) -> str:
        """Return the next line that it prints; raises as `ask()` does."""
        answers = self._process.stdout
        if not answers or not select.select([answers], [], [], LIMIT)[0]:
            raise TimeoutError(f"the peer {self._process.args!r} does not answer")
        line = answers.readline()
        if not line:
            raise RuntimeError(f"the peer {self._process.args!r} ended")
        return line.decode()


@contextmanager
def older_atex(host: LightHost, tree: Path) -> Iterator[OlderAtex]:
    """The older atex, connected to `host` and with `tree` uploaded: see `older_atex.py` for what it is asked.

    Raises PeerMissing where it can not be installed.
    """
    python = peer_python("atex==1.2", at_least=(3, 12))
    driver = Path(__file__).with_name("older_atex.py")
    with peer_process(
        [str(python), str(driver), host.address, str(host.identity), str(tree)]
    ) as process:
        peer = OlderAtex(process)
        peer.line()  # it is ready
        yield peer
