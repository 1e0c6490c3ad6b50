"""A host for the real agent, as small as it can be: no threads, no reconnecting by itself, every frame checked.

    with Agent(python) as agent:
        host = agent.attach()
        run = host.run("echo hello; exit 3")
        assert (run.output, run.exited.exit_code) == (b"hello\n", 3)

`Agent` is one session: what came of each run is put together in `agent.runs`, over any number of attachments, and it
is checked that no frame is missing, none comes twice with other contents, and each lands where the last one ended.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import atex_sut_agent
import msgspec
from atex_sut_agent import BOOT_MAGIC, agent_archive, attach_command
from atex_sut_agent.protocol import (
    MAGIC,
    Acknowledge,
    AgentMessage,
    Alive,
    Busy,
    Bye,
    Cancel,
    End,
    FrameReader,
    GoingDown,
    HangUp,
    Hello,
    HostMessage,
    Lengths,
    Settings,
    Start,
    Superseded,
    decode_agent_message,
    encode_host_message,
)
from atex_sut_agent.sut.slot import FOLDERS

from tests.sut_agent.record import TEST, RunRecord

SOURCES = str(Path(atex_sut_agent.__file__).parent)
PATIENCE = 60.0  # seconds until a test that waits for the agent gives up


class Lost(Exception):
    """The agent's stream ended."""


class SlotTaken(Exception):
    """Another session has the slot: `busy` says which; `head` is that frame's."""

    def __init__(self, busy: Busy, head: bytes) -> None:
        super().__init__(busy)
        self.busy = busy
        self.head = head


class Agent:
    """One session on this machine, in a work folder and a slot of its own; `settings` are for its daemon.

    `login` is the beginning of a command line that runs its last word over there, say of ssh.
    """

    def __init__(
        self,
        python: str | None,
        *,
        work: Path | None = None,
        settings: Settings | None = None,
        login: Sequence[str] = (),
    ) -> None:
        # A short path: the control file's socket has to fit into 107 bytes.
        self.work = work or Path(tempfile.mkdtemp(prefix="atex-"))
        self.become = False  # by sudo
        self.speaking = True  # each host says a word at once, as it has to
        self._made = [] if work else [self.work]  # folders that are ours to remove
        self.python = python
        self.login = list(login) or ["sh", "-c"]
        self.session = os.urandom(16).hex()
        self.settings = settings or Settings(slot=self.session)
        self.folder = self.work / "sessions" / self.session
        self.order = 0
        self.incarnation = ""
        self.pid = 0  # of the daemon
        self.applied = 0  # the number of the last frame of this incarnation
        self.runs: dict[int, RunRecord] = defaultdict(RunRecord)
        self._hosts: list[Host] = []

    def command(self) -> str:
        """What attaches to it."""
        return attach_command(
            agent_archive(),
            self.session,
            python=self.python,
            work=str(self.work),
            settings=self.settings,
            become=self.become,
        )

    def attach(self, *, environment: Mapping[str, str] | None = None, **settings: Any) -> "Host":
        """A new attachment, after its hello; `settings` are changed for a daemon that it starts.

        `environment` stands for that of a login, which no other login then takes part in.
        """
        self.settings = msgspec.structs.replace(self.settings, **settings)
        login = self.login if environment is None else ["sh", "-c"]
        return self.attach_by([*login, self.command()], environment=environment)

    def attach_by(
        self, argv: list[str], *, environment: Mapping[str, str] | None = None, boots: bool = True
    ) -> "Host":
        """A new attachment by a command that starts with the boot magic (`boots`) or is the agent already."""
        host = Host(self, argv, environment, boots=boots)
        self._hosts.append(host)
        host.begin()
        return host

    def attach_by_source(self, source: str, *more: str) -> "Host":
        """The first attachment, by a program that can import `sut` and has our archive, the session's id, its
        folder and the settings as arguments, and then `more`.
        """
        source = f"import sys; sys.path.insert(0, {SOURCES!r})\n{source}"
        self.folder.parent.mkdir(mode=0o700)
        settings = msgspec.json.encode(self.settings).decode()
        argv = [self.python or sys.executable, "-ISc", source, str(self.archive()), self.session]
        return self.attach_by([*argv, str(self.folder), settings, *more], boots=False)

    def archive(self) -> Path:
        """The agent's archive, put into the work folder where it is not there yet."""
        archive = agent_archive()
        path = self.work / "agents" / f"{archive.digest}.pyz"
        if not path.exists():
            path.parent.mkdir(mode=0o700)
            path.write_bytes(archive.data)
        return path

    def end(self) -> None:
        """End the session, over its last attachment or else a new one; what it runs is killed."""
        if self.pid and is_alive(self.pid) and not self._ended_over_the_last_attachment():
            with contextlib.suppress(Lost):  # the daemon was ending just then
                self.attach().end()
        for host in self._hosts:
            host.drop()

    def _ended_over_the_last_attachment(self) -> bool:
        """Whether that still stood: a new one costs as much as a short test."""
        if not (self._hosts and self._hosts[-1].stands):
            return False
        try:
            self._hosts[-1].end()
        except (Lost, BrokenPipeError):
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.end()
        finally:
            if self.pid:
                wait_until(lambda: not is_alive(self.pid), "the daemon's end")
            for folder in self._made:
                wait_until(partial(_is_removed, folder), "the removal of its folder")
            for lock in filter(Path.is_file, lock_files(self.settings.slot)):
                lock.unlink()  # a daemon that was killed has left it


def _is_removed(folder: Path) -> bool:
    """Remove a folder; return whether all of it is gone. An agent removes what is retired behind everybody's back."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
    return not os.path.exists(folder)


class Host:
    """One attachment: the host's end of the bridge's stdin and stdout."""

    def __init__(
        self, agent: Agent, argv: list[str], environment: Mapping[str, str] | None, *, boots: bool
    ) -> None:
        self.agent = agent
        self.hello: Hello
        self.seen: list[AgentMessage] = []  # all, also those that are not applied again
        self.numbers: list[int] = []  # of the frames that count, as they came
        self.heads: list[bytes] = []  # of all frames
        self.applying = True  # else what comes is only looked at
        self.acknowledging = True
        self._boots = boots
        self._reader = FrameReader()
        self._frames: list[tuple[int, bytes, bytes]] = []
        self.bridge = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=None if environment is None else dict(environment),
        )
        self.stdin: IO[bytes] = self.bridge.stdin  # type: ignore[assignment]  # they are pipes
        self.stdout: IO[bytes] = self.bridge.stdout  # type: ignore[assignment]
        self.stderr: IO[bytes] = self.bridge.stderr  # type: ignore[assignment]

    @property
    def stands(self) -> bool:
        """Whether it hears and answers the agent as a host does, as far as can be told from here."""
        obliging = self.agent.speaking and self.applying and self.acknowledging
        return obliging and not self.stdin.closed and self.bridge.poll() is None

    # The beginning ---------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Up to the hello."""
        if self._boots:
            self._skip_to(BOOT_MAGIC)
            answer = json.loads(self._skip_to(b"\n"))
            if "error" in answer:
                raise Lost(answer["error"])
            if answer["need"]:
                self.write(agent_archive().data)
        self._skip_to(MAGIC)
        hello = self.receive()
        if isinstance(hello, Busy):
            self.drop()
            raise SlotTaken(hello, self.heads[0])
        assert isinstance(hello, Hello), hello
        self.hello = hello
        agent = self.agent
        assert hello.session == agent.session
        agent.pid = hello.pid
        if hello.incarnation != agent.incarnation:
            agent.incarnation = hello.incarnation
            agent.applied = 0
        if self.agent.speaking:
            with contextlib.suppress(BrokenPipeError):  # superseded already
                self.send(Alive())

    def _skip_to(self, magic: bytes) -> bytes:
        seen = b""
        while not seen.endswith(magic):
            byte = self._read(1)
            if not byte:
                raise Lost(self.stderr.read().decode())
            seen += byte
        return seen.removesuffix(magic)

    def _read(self, size: int) -> bytes:
        if not select.select([self.stdout], [], [], PATIENCE)[0]:
            raise AssertionError(f"nothing from the agent for {PATIENCE} s")
        return self.stdout.read(size)

    # Messages --------------------------------------------------------------------------------------------

    def send(self, message: HostMessage) -> int:
        """Send a message; return the order's number, 0 where it is none."""
        number = 0
        if isinstance(message, Lengths | Start | Cancel | HangUp | End):
            self.agent.order += 1
            number = self.agent.order
        self.write(encode_host_message(message, number))
        return number

    def write(self, data: bytes) -> None:
        """Send bytes, as they are."""
        while data:
            if not select.select([], [self.stdin], [], PATIENCE)[1]:
                raise AssertionError(f"nothing was taken for {PATIENCE} s")
            # So much never blocks where there is room at all: pipe(7).
            data = data[os.write(self.stdin.fileno(), data[: select.PIPE_BUF]) :]

    def receive(self) -> AgentMessage:
        """The next message; those of runs are applied. Raises Lost at the end of the stream."""
        while not self._frames:
            data = self._read(1 << 18)
            if not data:
                raise Lost("end of file")
            self._frames += self._reader.feed(data)
        number, head, tail = self._frames.pop(0)
        self.heads.append(head)
        message = decode_agent_message(head)
        self.seen.append(message)
        if number:
            self.numbers.append(number)
            self._apply(number, message, tail)
        return message

    def _apply(self, number: int, message: AgentMessage, tail: bytes) -> None:
        agent = self.agent
        if number <= agent.applied or not self.applying:
            return
        assert number == agent.applied + 1, f"frame {number} behind {agent.applied}"
        assert not isinstance(message, Hello | Alive | Busy | Superseded | GoingDown | Bye)
        agent.runs[message.run].apply(message, tail)
        agent.applied = number
        if self.acknowledging:
            self.acknowledge()

    def acknowledge(self) -> None:
        """Say that all is applied."""
        # It may have closed its end; what it had sent before can still be read.
        with contextlib.suppress(BrokenPipeError):
            self.send(Acknowledge(frame=self.agent.applied))

    def until(self, kind: type[AgentMessage] | Callable[[], bool]) -> AgentMessage:
        """Receive until a message of this kind comes, or until this becomes true; return the last one."""
        deadline = time.monotonic() + PATIENCE
        while True:
            message = self.receive()
            if isinstance(message, kind) if isinstance(kind, type) else kind():
                return message
            assert time.monotonic() < deadline, f"waited for {kind} in vain: {self.seen[-10:]}"

    # Runs ------------------------------------------------------------------------------------------------

    def start(
        self,
        script: str,
        *,
        environment: Mapping[str, str] | None = None,
        folder: str | None = None,
        limit: float = 60,
        grace: float = 60,
        **more: Any,
    ) -> int:
        """Order a run; `more` are further fields of Start. Return its number."""
        return self.send(
            Start(
                script=script,
                folder=folder or self.hello.folder,
                environment=dict(environment or {}),
                limit=limit,
                grace=grace,
                **{"test": TEST, **more},
            )
        )

    def wait(self, run: int) -> RunRecord:
        """Receive until `run` is over."""
        record = self.agent.runs[run]
        if record.last is None:
            self.until(lambda: record.last is not None)
        return record

    def wait_for_output(self, run: int, text: bytes) -> None:
        """Receive until the run has printed `text`."""
        record = self.agent.runs[run]
        if text not in record.output:
            self.until(lambda: text in record.output)

    def run(self, script: str, **options: Any) -> RunRecord:
        """Start a run and wait for its end."""
        return self.wait(self.start(script, **options))

    # The end ---------------------------------------------------------------------------------------------

    def end(self) -> Bye:
        """End the session; return its farewell."""
        self.send(End())
        bye = self.until(Bye)
        assert isinstance(bye, Bye)
        self.drop()
        return bye

    def drop(self) -> None:
        """Hang up: the agent sees end of file. Any number of times."""
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()
        self.bridge.wait(PATIENCE)

    def kill_bridge(self) -> None:
        """As a crash of the login does: the bridge gets no chance."""
        self.bridge.send_signal(signal.SIGKILL)
        self.drop()


def lock_files(slot: str) -> list[Path]:
    """Where the lock of a slot may be."""
    return [Path(folder, f"atex-{slot}.lock") for folder in FOLDERS]


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Look again and again until it is true; for what sends no event."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what} in vain"
        time.sleep(0.005)


def write_fifo(path: Path, data: bytes) -> None:
    """Write to who reads there; unlike a plain open, this gives up."""
    opened: list[int] = []

    def try_to_open() -> bool:
        with contextlib.suppress(OSError):
            opened.append(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        return bool(opened)

    wait_until(try_to_open, f"a reader of {path}")
    os.write(opened[0], data)
    os.close(opened[0])


def is_alive(pid: int) -> bool:
    """Is there such a process, and not a zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
