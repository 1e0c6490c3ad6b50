"""A peer's driver as a process that is asked one question after another."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.environment import peer_python
from tests.machines import LightHost


class PeerProcess:
    """Answers each `ask()` with one line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, question: str) -> float:
        """Send a line, return the number that comes back. Raises RuntimeError where the peer died."""
        if self._process.stdin is None:
            raise RuntimeError("the peer has no stdin")
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        return float(self._line())

    def wait_until_ready(self) -> None:
        """Return when the peer says `ready`."""
        self._line()

    def _line(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"the peer {self._process.args!r} ended")
        return line.strip()


@contextmanager
def peer_process(command: Sequence[str]) -> Iterator[PeerProcess]:
    """Start a peer's driver; it ends when its stdin is closed."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            peer = PeerProcess(process)
            peer.wait_until_ready()
            yield peer
        finally:
            if process.stdin:
                process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def older_atex(host: LightHost, tree: Path) -> Iterator[PeerProcess]:
    """The older atex, connected to `host` and with `tree` uploaded: see `older_atex.py` for what it is asked.

    Raises PeerMissing where it can not be installed.
    """
    python = peer_python("atex==1.2", at_least=(3, 12))
    driver = Path(__file__).with_name("older_atex.py")
    with peer_process(
        [str(python), str(driver), host.address, str(host.identity), str(tree)]
    ) as peer:
        yield peer
