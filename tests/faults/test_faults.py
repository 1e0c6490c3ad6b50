"""Nothing is lost and nothing comes twice, whatever dies on the way, as long as machine and agent live.

A test sends 200,000 results and files in portions; as each begins, something breaks: the bridge or the ssh sessions
are killed, the link is cut, or the host process is killed with SIGKILL and another goes on from its journal. What was
broken is logged, and how to repeat that.
"""

import contextlib
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from tests.faults import sender
from tests.faults.expected import check
from tests.faults.host import Arguments
from tests.machines import LightHost
from tests.machines.keeper import descendants
from tests.waits import eventually

FAULTS = ("bridge", "session", "link", "host") * 3
PATIENCE = 60.0  # seconds for a portion to arrive
CI_SEEDS, ALL_SEEDS = 2, 10

_log = logging.getLogger(__name__)


class Trouble:
    """Breaks things between a host process and `machine`; says what it does."""

    def __init__(self, machine: LightHost, arguments: Arguments, chance: random.Random) -> None:
        self._machine = machine
        self._arguments = msgspec.json.encode(arguments).decode()
        self._chance = chance
        self.host = self._start_host()

    def _start_host(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.faults.host", self._arguments], stdout=subprocess.PIPE
        )

    def over_or(self, condition: Callable[[], bool]) -> bool:
        """Is this so, or the host process at its end?"""
        return self.host.poll() is not None or condition()

    def cause(self, fault: str) -> None:
        """Break something, and mend it where it does not mend itself."""
        _log.info("fault: %s", fault)
        {
            "bridge": self._kill_bridge,
            "session": self._machine.kill_sessions,
            "link": self._cut_link,
            "host": self._kill_host,
        }[fault]()

    def _kill_bridge(self) -> None:
        init = self._machine.init
        for pid, name in descendants(init):
            with contextlib.suppress(OSError):  # it ends by itself just now
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                if name.startswith("python") and b"\0attach\0" in words and parent(pid) != init:
                    os.kill(pid, signal.SIGKILL)

    def _cut_link(self) -> None:
        self._machine.cut()
        time.sleep(self._chance.uniform(0.0, 3.0))
        self._machine.heal()

    def _kill_host(self) -> None:
        self.host.kill()
        self.host.communicate()
        self.host = self._start_host()


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


SEEDS = [
    pytest.param(seed, id=f"seed-{seed}", marks=[pytest.mark.nightly] * (seed > CI_SEEDS))
    for seed in range(1, ALL_SEEDS + 1)
]


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_arrives_once(
    seed: int,
    light_host: LightHost,
    own_home: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
) -> None:
    caplog.set_level(logging.INFO)
    again = "scripts/test -n 0 -m 'nightly or not nightly'"
    _log.info("to repeat: %s '%s'", again, request.node.nodeid)
    chance = random.Random(seed)
    faults = chance.sample(FAULTS, len(FAULTS))
    portions = len(faults) + 1
    arguments = Arguments(
        address=light_host.address,
        identity=str(light_host.identity),
        tree=str(write_tree(tmp_path / "tree", portions)),
        run=str(tmp_path / "run"),
    )
    results = tmp_path / "run/results.jsonl"
    trouble = Trouble(light_host, arguments, chance)
    try:
        for portion, fault in enumerate(faults):
            before = size(results)
            (light_host.folder / f"tmp/go-{portion}").touch()
            eventually(partial(trouble.over_or, partial(has_grown, results, before)), PATIENCE)
            time.sleep(chance.uniform(0.0, 0.1))
            if trouble.host.poll() is not None:
                break  # what it prints says why
            trouble.cause(fault)
        (light_host.folder / f"tmp/go-{portions - 1}").touch()
        said, _ = trouble.host.communicate(timeout=PATIENCE)
    finally:
        trouble.host.kill()
        trouble.host.communicate()
    assert trouble.host.returncode == 0
    assert msgspec.json.decode(said)["status"] == "pass", said.decode()
    check(tmp_path / "run", portions)


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def has_grown(path: Path, before: int) -> bool:
    return size(path) > before


def write_tree(tree: Path, portions: int) -> Path:
    (tree / ".fmf").mkdir(parents=True)
    (tree / ".fmf/version").write_text("1\n")
    (tree / "sender.py").write_bytes(Path(sender.__file__).read_bytes())
    (tree / "main.fmf").write_text(f"test: python3 sender.py /tmp {portions}\nduration: 10m\n")
    return tree
