"""Pools of light hosts at work, ours and the older atex's, and what their tests say of when they ran."""

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.peers.environment import peer_python
from benchmarks.peers.process import peer_process
from benchmarks.trees import write_tree
from tests.machines import LightHost

LIMIT = 600.0  # seconds for a run
REPOSITORY = Path(__file__).resolve().parent.parent
TIMES = "var/tmp/times"  # of each host, where its tests write when they begin and when they end

Spans = list[tuple[float, float]]
"""When tests of one host began and ended, by its own clock, one after the other."""


def timed(script: str) -> str:
    """A test's script that also notes when it begins and ends, the first and the last thing it does."""
    note = f'echo "$EPOCHREALTIME" >>/{TIMES}'
    return f"{note}\n{script}\n{note}\n"


def older_atex() -> list[str]:
    """The command that runs a pool of the older atex. Raises PeerMissing."""
    python = peer_python("atex==1.2", at_least=(3, 12))
    return [str(python), str(Path(__file__).with_name("peers") / "older_pool.py")]


def atex(way: str = "longest") -> list[str]:
    """The command that runs a pool of ours; `way` as in `run_pool.py`."""
    return [sys.executable, "-m", "benchmarks.run_pool", way]


@contextmanager
def pool(
    command: Sequence[str], hosts: Sequence[LightHost], tests: Mapping[str, str]
) -> "Iterator[subprocess.Popen[bytes]]":
    """Begin to run `tests`, a script for each name, on `hosts`."""
    for host in hosts:
        (host.folder / TIMES).unlink(missing_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tree = write_tree(folder / "tree", dict(tests))
        arguments = [str(hosts[0].identity), str(tree), str(folder / "run")]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        yield stack.enter_context(
            peer_process(
                [*command, *arguments, *(host.address for host in hosts)], environment=environment
            )
        )


def run_pool(
    command: Sequence[str], hosts: Sequence[LightHost], tests: Mapping[str, str]
) -> list[Spans]:
    """Run `tests` on `hosts`, and return when each of them worked. Raises RuntimeError where one did not pass."""
    with pool(command, hosts, tests) as process:
        if process.wait(LIMIT):
            raise RuntimeError(f"{command} failed")
    spans = [_spans(host) for host in hosts]
    if sum(map(len, spans)) != len(tests):
        raise RuntimeError(f"{command} ran {sum(map(len, spans))} of {len(tests)} tests")
    return spans


def gaps(spans: Spans) -> list[float]:
    """Return the seconds between each test and the next."""
    return [later[0] - earlier[1] for earlier, later in itertools.pairwise(spans)]


def _spans(host: LightHost) -> Spans:
    times = list(map(float, (host.folder / TIMES).read_text().split()))
    return list(zip(times[::2], times[1::2], strict=True))
