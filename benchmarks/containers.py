"""podman's command line against its API socket: one container and twenty at once, made, used and removed.

The service behind the socket runs already; the image's layers are in the storage.
"""

import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from benchmarks.machines import container_image
from benchmarks.podman_ways import CommandLine, Exec, Socket, Way, pump, service
from benchmarks.rounds import side_by_side, start
from benchmarks.table import Row, print_table

MANY = 20
SIZE = 100_000_000  # bytes through an exec, in each direction
NAME = f"atex-benchmark-{os.getpid()}"


def main() -> None:
    """Measure all, and print the tables."""
    rounds = start(__doc__)
    with ExitStack() as stack:
        image = stack.enter_context(container_image())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path, pid = stack.enter_context(service(folder))
        ways: dict[str, Way] = {
            "command line": CommandLine(image),
            "API socket": Socket(image, path, pid),
        }
        failures = Failures()
        for many in (1, MANY):
            _print_life(
                many, {what: Life(way, many, failures) for what, way in ways.items()}, rounds
            )
        _print_carried(ways, rounds)
        _print_memory(ways, rounds)
    print(f"\nFailures: {failures.words or 'none'}")


class Failures:
    """What did not work, by its words."""

    def __init__(self) -> None:
        self.words: dict[str, int] = {}

    def each(
        self, pool: ThreadPoolExecutor, do: Callable[[str], object], names: Sequence[str]
    ) -> float:
        """`do` all at once; return the seconds until the last one is done."""
        started = time.perf_counter()
        futures = [pool.submit(do, name) for name in names]
        errors = [future.exception() for future in futures]
        seconds = time.perf_counter() - started
        for error in errors:
            if error is not None:
                self.words[str(error)] = self.words.get(str(error), 0) + 1
        return seconds


class Life:
    """Containers from their creation to their removal, `many` at once."""

    STEPS = ("create and start", "exec `true`", "remove")

    def __init__(self, way: Way, many: int, failures: Failures) -> None:
        self._way = way
        self._names = [f"{NAME}-{number}" for number in range(many)]
        self._failures = failures
        self.seconds: dict[str, list[float]] = {step: [] for step in self.STEPS}

    def go(self) -> float:
        """Return the seconds of it all."""
        way = self._way
        steps: list[Callable[[str], object]] = [
            way.create,
            lambda name: pump(way.open(name, "true"), b""),
            way.remove,
        ]
        with ThreadPoolExecutor(len(self._names)) as pool:
            for step, do in zip(self.STEPS, steps, strict=True):
                self.seconds[step].append(self._failures.each(pool, do, self._names))
        return sum(values[-1] for values in self.seconds.values())


def _print_life(many: int, lives: Mapping[str, Life], rounds: int) -> None:
    side_by_side({what: life.go for what, life in lives.items()}, rounds)
    count = "One container" if many == 1 else f"{many} containers at once"
    for step in Life.STEPS:
        rows = [Row(what, life.seconds[step]) for what, life in lives.items()]
        print_table(f"{count}: {step}", "s", rows)


def _print_carried(ways: Mapping[str, Way], rounds: int) -> None:
    data = os.urandom(SIZE)

    def carry(way: Way) -> float:
        way.create(NAME)
        try:
            started = time.perf_counter()
            same = pump(way.open(NAME, "cat"), data) == data
            seconds = time.perf_counter() - started
            assert same
            return SIZE / 1e6 / seconds
        finally:
            way.remove(NAME)

    subjects = {what: lambda way=way: carry(way) for what, way in ways.items()}
    print_table(
        "100 MB through `cat` in a container, and back", "MB/s", side_by_side(subjects, rounds)
    )


def _print_memory(ways: Mapping[str, Way], rounds: int) -> None:
    subjects = {what: lambda way=way: _each_open_exec(way) for what, way in ways.items()}
    print_table("Each further open exec, resident", "MiB", side_by_side(subjects, rounds))


def _each_open_exec(way: Way) -> float:
    """Return what an open exec takes in this process, in podman's and in those that supervise it, in MiB."""
    way.create(NAME)
    channels: list[Exec] = []
    try:
        sizes = []
        for _ in range(MANY + 1):
            channel = way.open(NAME, "cat")
            channel.send(b"there")
            channel.receive()
            channels.append(channel)
            if len(channels) in (1, MANY + 1):
                sizes.append(sum(map(_resident, _processes(way))))
        return (sizes[1] - sizes[0]) / MANY
    finally:
        for channel in channels:
            pump(channel, b"")
        way.remove(NAME)


def _processes(way: Way) -> list[int]:
    """This one, podman's that serve it, and the monitors (conmon) of the container and its execs."""
    return [os.getpid(), *way.host_processes(), *_monitors()]


def _monitors() -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if b"conmon" in line.split(b"\0")[0] and NAME.encode() in line:
            found.append(int(folder.name))
    return found


def _resident(pid: int) -> float:
    """Return the proportional share of a process, in MiB (proc(5), smaps_rollup)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss: *(\d+) kB$", text, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()
