"""Containers and light hosts that serve `atex run` together, and all that a run leaves on them while it goes on."""

import contextlib
import itertools
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from atex_orchestrator.events import Event, TestStarted
from atex_orchestrator.results import read_events, read_records

from tests.cli.command import Atex
from tests.machines import LightHost, containers_of
from tests.machines.keeper import descendants
from tests.waits import eventually

SLEEP = f"sleep 77.{random.randrange(10**9)}"  # not that of another suite on this box
PATIENCE = 180.0  # seconds for eight machines to come, on a box that has much else to do
BARRIER = "/root/barrier"  # a folder on each machine; tests wait for the file `go` there

_numbers = itertools.count(1)

# Each test has a process that ignores SIGINT, in a session of its own and without a parent. A test that comes to its
# end sees to it; after all others somebody else has to.
PLAN = f"""
/plan:
    discover: {{how: fmf}}
    execute: {{how: tmt}}
    prepare: {{how: shell, script: "trap '' INT; sleep 0.3"}}
    finish: {{how: shell, script: "trap '' INT; sleep 0.3"}}
/tests:
    test: |
        trap '' INT
        until [ -e {BARRIER}/go ]; do sleep 0.05; done
        folder=$(mktemp -d)
        (setsid bash -c 'echo $$ >"$0"; exec {SLEEP}' "$folder/pid" &)
        until [ -s "$folder/pid" ]; do sleep 0.01; done
        sleep 0.3
        kill -9 "$(cat "$folder/pid")"
        rm -r "$folder"
        exit "${{CODE:-0}}"
"""


class Fleet:
    """Containers and the hosts of a pool. Files are in the folder of `atex`."""

    def __init__(self, atex: Atex, image: str, hosts: Sequence[LightHost]) -> None:
        self.atex = atex
        self.hosts = hosts
        self._image = image
        self._barrier = atex.folder / "barrier"
        self._barrier.mkdir()
        for host in hosts:
            self._on(host).mkdir()

    def write_tests(self, count: int, failing: Iterable[int] = ()) -> None:
        """Write the tests /tests/1 and so on; some of them fail."""
        tests = [f"    /{n}:\n        order: {n}\n" for n in range(1, count + 1)]
        for n in failing:
            tests[n - 1] += "        environment: {CODE: 1}\n"
        self.atex.write("main.fmf", PLAN + "".join(tests))

    def pools(
        self,
        *,
        containers: int = 4,
        hosts: Sequence[LightHost] | None = None,
        platform: str = "",
    ) -> list[object]:
        """Say `--on` these: as platforms `containers` and `hosts`, or as the one that is named. Every other container
        has systemd.
        """
        boxes, others = platform or "containers", platform or "hosts"
        box = [
            f'image = "{self._image}"',
            f'platform = "{boxes}"',
            f'volumes = ["{self._barrier}:{BARRIER}"]',
            f"machines = {containers // 2}",
        ]
        lab = self.hosts if hosts is None else hosts
        hosts_of_lab = [f'[[host]]\naddress = "{host.address}"' for host in lab]
        common = f'user = "root"\nkey = "{lab[0].identity}"\nplatform = "{others}"'
        return [
            *("--on", f"podman:@{self._write(*box)}"),
            *("--on", f"podman:@{self._write(*box, 'systemd = true')}"),
            *("--on", f"ssh:@{self._write(common, *hosts_of_lab, f'[context.{others}]')}"),
        ]

    def let_go(self) -> None:
        """Let all tests go on that wait at the barrier, and all that come there later."""
        for folder in (self._barrier, *map(self._on, self.hosts)):
            (folder / "go").touch()

    def events(self) -> list[Event]:
        """Return the events of the run so far."""
        return _events(self.atex.results)

    def machines(self, run: Path | None = None) -> dict[str, str]:
        """Return the platform of each machine on which a test was started."""
        started = (
            event for event in _events(run or self.atex.results) if isinstance(event, TestStarted)
        )
        return {event.machine: event.platform for event in started}

    def verdicts(self) -> dict[tuple[str, str], str]:
        """Return the status of each test by platform and name; each has one final record."""
        finals = [record for record in read_records(self.atex.results) if record.get("final")]
        verdicts = {(record["platform"], record["test"]): record["status"] for record in finals}
        assert len(verdicts) == len(finals)
        return verdicts

    def check_nothing_is_left(self) -> None:
        """Fail unless containers, hosts and this box have nothing of a run, or soon have not."""
        try:
            eventually(lambda: not self.traces())
        except AssertionError:
            raise AssertionError("\n".join(["there is left:", *self.traces()])) from None

    def traces(self) -> list[str]:
        """Return what is there of runs, a line for each thing; containers, which take long, only if nothing else is."""
        journal = Path(self.atex.environment["HOME"], ".local/state/atex/leases")
        found = [f"lease {file.name}" for file in journal.glob("*.json")]
        found += [f"process {pid}: {SLEEP}" for pid in _processes_of(SLEEP)]
        found += [trace for host in self.hosts for trace in traces_on(host)]
        return found or [f"container {name}" for name in containers_of(self._image)]

    def _write(self, *lines: str) -> str:
        """Write a file, never the same one: an `atex` may still be about to read it. Return its name."""
        file = self.atex.folder / f"pool-{next(_numbers)}.toml"
        file.write_text("\n".join(lines) + "\n")
        return file.name

    def _on(self, host: LightHost) -> Path:
        return host.folder / BARRIER.lstrip("/")


def traces_on(host: LightHost) -> list[str]:
    """Return what is on a host of runs, a line for each thing."""
    work = host.folder / "var/lib/atex"
    found = [*work.glob("sessions/*"), *work.glob("retired/*")]
    return [
        *(f"{host.name}: process {pid}: {_command(pid)}" for pid, _ in descendants(host.init)),
        *(f"{host.name}: {path}" for path in found),
    ]


def _events(run: Path) -> list[Event]:
    with contextlib.suppress(FileNotFoundError):
        return list(read_events(run))
    return []


def _processes_of(command: str) -> list[int]:
    """Return all that run this, on the box, on light hosts and in containers."""
    words = command.split()
    found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid for pid in found if _command(pid).split() == words]


def _command(pid: int) -> str:
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except OSError:  # it has just ended
        return ""
