"""Starting a test: a session of its own, its descriptors and its environment, and nothing else of ours.

No Python runs in the child, exec follows the fork at once: that is worth a third of what a short test costs
(docs/decisions/0005). So what a test is to find, the daemon has itself (`prepare_to_spawn`), and what would be done in
the child is done to it from outside (`Tether`, `OomScore`).
"""

import errno
import fcntl
import os
import signal
import subprocess

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Mapping

_CONTROL = 3  # the descriptor of ATEX_TEST_CONTROL; a single digit, because dash takes no more
_LOWEST_TETHER = 100  # no number that a script would choose
_OF_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)  # it ignores these itself, and Popen puts them back


class SpawnError(Exception):
    """The process could not be started; the message says why."""


def prepare_to_spawn() -> None:
    """Take on what tests inherit: nothing ignored, nothing blocked, umask 022. Call this once, before any spawn."""
    # An ignored signal stays ignored over exec, and no trap of a shell can undo it.
    for number in range(1, 32):
        if number not in _OF_PYTHON and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o022)
    os.dup2(0, _CONTROL)  # so that the number is nobody else's


def spawn(
    argv: "list[str]",
    folder: str,
    environment: "Mapping[str, str]",
    output: int,
    control: int,
    tether: "Tether",
) -> int:
    """Start `argv` in `folder` as the leader of a new session; return its pid.

    `output` becomes its stdout and stderr, `control` its descriptor 3, its stdin is ours, /dev/null; it is killed when
    this process dies. Raises SpawnError where the folder or the program is not there, or takes no such environment.
    """
    os.dup2(control, _CONTROL)
    try:
        process = subprocess.Popen(
            argv,
            stdout=output,
            stderr=output,
            cwd=_encode(folder),
            env={_encode(name): _encode(value) for name, value in environment.items()},
            start_new_session=True,
            pass_fds=(_CONTROL, tether.held_by_the_test),
        )
    except OSError as error:
        if error.errno == errno.E2BIG:
            raise SpawnError("the environment is larger than this machine takes")
        where = folder if error.filename == _encode(folder) else argv[0]
        raise SpawnError("{}: {}".format(where, os.strerror(error.errno or 0)))
    finally:
        os.dup2(0, _CONTROL)
    process.returncode = 0  # it is ours to reap, not Popen's
    tether.tie(process.pid)
    return process.pid


class Tether:
    """Kills a test when this process dies, however that comes about.

    A pipe to which nobody writes: the test holds its read end, for which the kernel sends SIGKILL to the test's process
    group as soon as the last write end is closed, and the only one is ours. (fcntl(2), F_SETOWN and F_SETSIG.)
    """

    def __init__(self) -> None:
        reader, self._writer = os.pipe()
        try:
            self.held_by_the_test = fcntl.fcntl(reader, fcntl.F_DUPFD_CLOEXEC, _LOWEST_TETHER)
        except OSError:
            os.close(self._writer)
            raise
        finally:
            os.close(reader)

    def tie(self, group: int) -> None:
        """The process that leads `group` has been started with `held_by_the_test`."""
        reader = self.held_by_the_test
        try:
            fcntl.fcntl(reader, fcntl.F_SETOWN, -group)
            fcntl.fcntl(reader, fcntl.F_SETSIG, signal.SIGKILL)
            fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC)
        except OSError as error:
            if error.errno != errno.ESRCH:  # it has ended meanwhile
                raise
        os.close(reader)
        self.held_by_the_test = -1

    def cut(self) -> None:
        """The test is dead, or there is none."""
        if self.held_by_the_test >= 0:
            os.close(self.held_by_the_test)
        os.close(self._writer)


def _encode(text: str) -> bytes:
    # Python 3.6 in the C locale would refuse what is not ASCII.
    return text.encode("utf-8", "surrogateescape")
