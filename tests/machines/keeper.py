"""Starts a machine's first process, and makes sure that nothing of the machine outlives us.

`Keeper` is our end of a small helper process, `keeper_process.py`. The helper holds a pipe from us:
when we end, in whatever way, it reads end of file, kills all that the machine ever started and
removes its folder. (PDEATHSIG alone would do neither, and it fires when the *thread* that started
the child ends.)
"""

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

PATIENCE = 60.0  # seconds; far more than anything here takes on a loaded box


class MachineError(Exception):
    """A test machine did not do what it was told; says which, and shows its log."""


class Keeper:
    """Keeps one machine: its first process can be started, killed and started again.

    Used from one thread. `folder` belongs to the machine and is removed at the end.
    """

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        *,
        own_network: bool = False,
        held: Sequence[int] = (),
    ) -> None:
        """Starts the helper, not yet the machine.

        `own_network` puts the helper and all below it into a new network namespace, which lasts as
        long as the helper. `held` are file descriptors that the helper keeps open to its end
        (locks).
        """
        self.folder = folder
        helper = Path(__file__).with_name("keeper_process.py")
        argv = [sys.executable, "-I", "-S", str(helper), str(folder), *command]
        if own_network:
            argv = ["unshare", "--net", *argv]
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=held,
            start_new_session=True,  # a Ctrl-C at the terminal is for the tests alone
        )
        try:
            self._await_answer()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The helper, an ancestor of all processes of the machine."""
        return self._process.pid

    @property
    def first_process(self) -> int:
        """The pid of the machine's first process, as it was started last."""
        return int((self.folder / "pid").read_text())

    def boot(self) -> None:
        """Starts the machine's first process."""
        self._order(b"boot\n")

    def kill(self) -> None:
        """Kills the machine's first process (SIGKILL) and reaps it."""
        self._order(b"kill\n")

    def close(self) -> None:
        """Ends all processes of the machine and removes its folder. Total; may be repeated."""
        try:
            self._process.communicate(timeout=PATIENCE)  # closes its stdin, to begin with
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)  # in case that the helper was killed

    def _order(self, order: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(order)
        self._process.stdin.flush()
        self._await_answer()

    def _await_answer(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            answer = pipe.readline() if selector.select(PATIENCE) else b""
        if answer != b"done\n":
            raise MachineError(
                f"the keeper of {self.folder.name} answered {answer!r}; its log:\n{self.log()}"
            )

    def log(self) -> str:
        """What the machine's first process printed."""
        try:
            return (self.folder / "log.txt").read_text(errors="replace")
        except OSError as error:
            return f"(no log: {error})"


def descendants(pid: int) -> Iterator[tuple[int, str]]:
    """Pid and command name of all processes below `pid`, parents first, zombies left out."""
    children: dict[int, list[tuple[int, str]]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        # Who ends just now can not be opened any more, or reads as nothing.
        with contextlib.suppress(OSError, ValueError):
            head, _, tail = Path("/proc", entry, "stat").read_text(errors="replace").rpartition(")")
            state, parent = tail.split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append((int(entry), head.partition("(")[2]))
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(0), ()):
            yield child
            waiting.append(child[0])


def kill_sessions(keeper: Keeper, listener: int) -> None:
    """Kills every process of an ssh connection to the sshd `listener`, as a lost network would end
    them.

    What the connections started (shells, agents) is left alone.
    """
    for pid, name in list(descendants(keeper.pid)):
        if name.startswith("sshd") and pid != listener:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Deadline:
    """Loops until something happened, for at most PATIENCE seconds: `while deadline.wait("sshd
    answers")`.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._end = time.monotonic() + PATIENCE

    def wait(self, what: str) -> bool:
        """Pauses for a moment; raises MachineError when the time is over."""
        if time.monotonic() > self._end:
            raise MachineError(f"waited in vain for: {what}; log:\n{self._keeper.log()}")
        time.sleep(0.005)
        return True
