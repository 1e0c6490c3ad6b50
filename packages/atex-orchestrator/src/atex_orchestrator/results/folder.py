"""The run folder as the orchestrator writes it: `run.json`, `events.jsonl`, `log.txt`.

A folder is written by one process, which has the flock of `events.jsonl`; `run.json` by the thread that owns the run,
events and lines of `log.txt` by all. An event survives the death of the process at once, and a power cut after about a
second.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from atex_executor.line_file import UNDECODABLE, LineFile
from atex_executor.records import readable
from atex_executor.syncing import Syncer
from atex_provision import Platform

from atex_orchestrator.errors import FolderInUse, FolderUnreadable
from atex_orchestrator.events import ANY, Event
from atex_orchestrator.results.log import LogFile

RUN = "run.json"
RESULTS = "results.jsonl"
EVENTS = "events.jsonl"
FILES = "files"
LOG = "log.txt"

_log = logging.getLogger(__name__)


class PlatformInfo(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A platform and what is run on it."""

    name: str
    context: dict[str, Any] = {}
    tree: str
    plan: str = ""
    tests: dict[int, str] = {}
    """The name of each test by its serial."""

    @property
    def kind(self) -> Platform:
        """What its machines are to be."""
        context = {
            dimension: (said,) if isinstance(said, str) else tuple(said)
            for dimension, said in self.context.items()
        }
        return Platform(self.name, context)


class PoolInfo(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Machines that were asked for."""

    platform: str
    name: str
    machines: int


class RunInfo(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was asked of a run: `run.json`. Of secrets it has the names."""

    started: str
    ended: str | None = None
    """When the run ended, by itself or stopped; None: it still runs, or was killed."""
    stopped: str | None = None
    """Why it was stopped, where it was."""
    versions: dict[str, str] = {}
    platforms: list[PlatformInfo] = []
    anywhere: dict[int, str] = {}
    """The name of each test that is bound to no platform, by its serial, which no test of a platform has."""
    pools: list[PoolInfo] = []
    environment: dict[str, str] = {}
    secrets: list[str] = []
    exclude: list[str] = []
    """Patterns for what of the trees was not brought to the machines."""
    grace: float = 0.0
    """Seconds between SIGINT and SIGKILL for a test that reached its limit."""
    reruns: int = 0
    """Further attempts at a test that failed, as many as there could be."""
    infra_retries: int = 0
    """The same at a test without a verdict."""
    destructive: str = ""
    """Which tests spoil their machine: "tag", "exit" or "never"."""
    fail_fast: int = 0
    """How many failed tests end the run; 0: none do."""
    spares: int = 0
    """Machines of each platform beyond its pools."""
    order: str = "plan"
    """In which tests are started: "longest", "plan" or "random"."""
    seed: int | None = None
    """Of a random order."""
    request: dict[str, Any] = {}
    """What whoever began the run wants to know again to resume it: `atex run` its options."""

    def tests(self) -> Iterator[tuple[str, int, str]]:
        """Yield platform, serial and name of each test; the platform of those that are bound to none is ANY."""
        for platform in self.platforms:
            yield from ((platform.name, serial, name) for serial, name in platform.tests.items())
        yield from ((ANY, serial, name) for serial, name in self.anywhere.items())

    def key(self, platform: str, serial: int) -> tuple[str, int]:
        """Return the platform and the serial that tests() has for a test that ran on `platform`."""
        return (ANY if serial in self.anywhere else platform), serial


class RunFolder:
    """A run folder that is being written. Close it, or use it as a context manager."""

    def __init__(self, path: Path, info: RunInfo | None = None) -> None:
        """Make the folder `path`, or take it where it exists and is empty, and write `run.json`. Without `info`: take
        that of a run whose process is no more.

        Raises FolderInUse if there is anything in it, or if it can not be made; for that of a run, if a process still
        writes it; FolderUnreadable if it is none.
        """
        self.path = path
        with ExitStack() as opened:
            try:
                if info is not None:
                    _make(path)
                self._lock(opened)
                self.info = read_run(path) if info is None else info
                if info is not None:
                    self.write_info()
                self._syncer = Syncer(f"{path} events")
                opened.callback(self._syncer.close)
                self._events = LineFile(str(path / EVENTS))
                opened.callback(self._events.close)
                opened.callback(LogFile(path / LOG).close)
            except OSError as error:
                raise FolderInUse(f"{path} can not be the run folder: {error.strerror}") from error
            self._opened = opened.pop_all()

    def _lock(self, opened: ExitStack) -> None:
        """Raises FolderInUse, FolderUnreadable, OSError."""
        if not (self.path / RUN).exists():
            raise FolderUnreadable(f"{self.path} is not a run folder: there is no {RUN}")
        lock = opened.enter_context((self.path / EVENTS).open("ab"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderInUse(
                f"a process of atex still writes {self.path}: wait for its end, or stop it"
            ) from error

    def write_info(self) -> None:
        """Write `run.json` whole, so that a reader finds the old one or the new one. Raises OSError."""
        text = msgspec.json.format(_encoded(self.info), indent=2)
        beside = self.path / f".{RUN}"
        with beside.open("wb") as file:
            file.write(text + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path / RUN)

    def append(self, event: Event) -> None:
        """Append a line to `events.jsonl`. Raises OSError. Any thread."""
        self._syncer.check()
        self._events.append(_encoded(event) + b"\n")
        self._syncer.changed(self._events.path)

    def sync(self) -> None:
        """Return when all that was appended is safe from a power cut. Raises OSError. Any thread."""
        self._syncer.sync()

    def close(self) -> None:
        """Sync and close the files; any number of times."""
        try:
            self._opened.close()
        except OSError as error:
            _log.warning("%s may not survive a power cut: %s", self.path, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _make(path: Path) -> None:
    """Raises FolderInUse, OSError."""
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise FolderInUse(f"{path} is not empty: a run needs a folder of its own")
    (path / RUN).touch(exist_ok=False)  # of two that start here at once, one fails


def read_run(folder: Path) -> RunInfo:
    """Return what is in `run.json` of a run folder. Raises FolderUnreadable where there is none that fits."""
    try:
        return msgspec.json.decode((folder / RUN).read_bytes(), type=RunInfo)
    except (OSError, *UNDECODABLE) as error:
        raise FolderUnreadable(f"{folder} is not a run folder: {RUN}: {error}") from error


def _encoded(value: msgspec.Struct) -> bytes:
    """Return JSON; names that are no UTF-8 are in it as records have them."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_readable(msgspec.to_builtins(value, str_keys=True)))


def _readable(value: Any) -> Any:
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, dict):
        return {_readable(key): _readable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(inner) for inner in value]
    return value
