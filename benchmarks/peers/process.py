"""Peers as processes that end with us, in whatever way we do, and with all that they have started."""

import select
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.environment import peer_python
from tests.machines import LightHost

LIMIT = 300.0  # seconds for an answer

# The first dies with us (prctl(2), PR_SET_PDEATHSIG), its child with it. That one is the init of a pid namespace, so
# the kernel ends the ssh clients, too, that a peer leaves behind in sessions of their own.
ENDS_WITH_US = [
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
]


@contextmanager
def peer_process(
    command: Sequence[str],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    errors: int | None = None,
) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a peer with pipes for stdin and stdout, `errors` as stderr; afterwards nothing is left of it."""
    with subprocess.Popen(
        [*ENDS_WITH_US, *command],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        cwd=folder,
        env=environment,
        start_new_session=True,  # a Ctrl-C at the terminal is for us
    ) as process:
        try:
            yield process
        finally:
            process.kill()


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
def older_atex(host: LightHost, tree: Path, results: Path) -> Iterator[OlderAtex]:
    """The older atex, connected to `host` and with `tree` uploaded: see `older_atex.py` for what it is asked.

    It makes the folder `results`. Raises PeerMissing where it can not be installed.
    """
    python = peer_python("atex==1.2", at_least=(3, 12))
    results.mkdir()
    driver = Path(__file__).with_name("older_atex.py")
    arguments = [host.address, str(host.identity), str(tree), str(results)]
    with peer_process([str(python), str(driver), *arguments]) as process:
        peer = OlderAtex(process)
        peer.line()  # it is ready
        yield peer
