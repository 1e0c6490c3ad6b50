"""Starting a test: a new session, clean signals, its descriptors, and nothing else of ours."""

import fcntl
import os
import signal

try:
    import ctypes

    _prctl: "Callable[..., int] | None" = ctypes.CDLL(None).prctl
except (ImportError, OSError, AttributeError):  # some minimal pythons come without it
    _prctl = None

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_TEST_CONTROL = 3  # the descriptor of ATEX_TEST_CONTROL; a single digit, because dash takes no more
_LOWEST_OURS = 10

HAS_PRCTL = _prctl is not None

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def become_subreaper() -> bool:
    """Make this process the parent of all its orphaned descendants (prctl(2)). Return whether that worked."""
    return _prctl is not None and _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def protect_from_oom() -> None:
    """Keep the kernel from choosing this process when memory runs out, where we may."""
    _set_oom_score("-1000")


class SpawnError(Exception):
    """The process could not be started; the message says why."""


def spawn(
    argv: "list[str]", folder: str, environment: "dict[str, str]", output: int, control: int
) -> int:
    """Start `argv` in `folder` as the leader of a new session; return its pid.

    `output` becomes its stdout and stderr, `control` its descriptor 3, stdin is /dev/null. It is killed when this
    process dies. Raises SpawnError where the folder or the program is not there.
    """
    failure_read, failure_write = os.pipe()
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(failure_read)
        os.close(failure_write)
        raise SpawnError("no process could be started: {}".format(error.strerror))
    if pid == 0:
        try:
            _become(argv, folder, environment, output, control, failure_write, parent)
        finally:
            os._exit(127)
    os.close(failure_write)
    reason = _read_all(failure_read)
    if reason:
        os.waitpid(pid, 0)
        raise SpawnError(reason.decode("utf-8", "replace"))
    return pid


def _become(
    argv: "list[str]",
    folder: str,
    environment: "dict[str, str]",
    output: int,
    control: int,
    failure: int,
    parent: int,
) -> None:
    failure = fcntl.fcntl(failure, fcntl.F_DUPFD_CLOEXEC, _LOWEST_OURS)
    output = fcntl.fcntl(output, fcntl.F_DUPFD_CLOEXEC, _LOWEST_OURS)
    control = fcntl.fcntl(control, fcntl.F_DUPFD_CLOEXEC, _LOWEST_OURS)
    what = folder
    try:
        os.setsid()
        if _prctl is not None:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            return  # it died before we asked to die with it
        _reset_signals()
        _set_oom_score("0")
        os.umask(0o022)
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(control, _TEST_CONTROL)
        os.chdir(folder)
        what = argv[0]
        os.execve(argv[0], argv, environment)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the environment
        reason = getattr(error, "strerror", None) or error
        os.write(failure, "{}: {}".format(what, reason).encode("utf-8", "surrogateescape"))


def _reset_signals() -> None:
    # An ignored signal stays ignored over exec, and no trap of a shell can undo it.
    for number in range(1, 32):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _set_oom_score(score: str) -> None:
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(score)
    except OSError:
        pass  # not root, or a container that does not allow it: then it stays as it is


def _read_all(fd: int) -> bytes:
    chunks: "list[bytes]" = []
    while True:
        chunk = os.read(fd, 4096)
        if not chunk:
            os.close(fd)
            return b"".join(chunks)
        chunks.append(chunk)
