"""Starting a test: a new session, clean signals, its descriptors, and nothing else of ours."""

import errno
import fcntl
import os
import signal
import socket

from .pipes import read_all

try:
    import ctypes

    _prctl: "Callable[..., int] | None" = ctypes.CDLL(None).prctl
except (ImportError, OSError, AttributeError):  # some minimal pythons come without it
    _prctl = None

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_TEST_CONTROL = 3  # the descriptor of ATEX_TEST_CONTROL; a single digit, because dash takes no more
_LOWEST_OURS = 10
_GO = b"\0"
_OOM_SCORE = "/proc/self/oom_score_adj"

HAS_PRCTL = _prctl is not None


class SpawnError(Exception):
    """The process could not be started; the message says why."""


def become_subreaper() -> bool:
    """Make this process the parent of all its orphaned descendants (prctl(2)). Return whether that worked."""
    return _prctl is not None and _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def protect_from_oom() -> str:
    """Keep the kernel from choosing this process when memory runs out, where we may; return what to put back."""
    try:
        with open(_OOM_SCORE) as file:
            before = file.read()
        _set_oom_score("-1000")
    except OSError:
        return ""  # not root, or a container that does not allow it
    return before


def spawn(
    argv: "list[str]",
    folder: str,
    environment: "dict[str, str]",
    output: int,
    control: int,
    oom_score: str,
    announce: "Callable[[int], None]",
) -> int:
    """Start `argv` in `folder` as the leader of a new session; return its pid.

    `output` becomes its stdout and stderr, `control` its descriptor 3, stdin is /dev/null. It is killed when this
    process dies; when memory runs out, it counts as `oom_score` says ("": as we do). `announce(pid)` is called before
    the program begins, and it does not begin where that raises OSError.

    Raises SpawnError where the folder or the program is not there, or takes no such environment; OSError.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                _live(theirs, argv, folder, environment, output, control, oom_score, parent)
            finally:
                os._exit(127)
        theirs.close()
        try:
            announce(pid)  # while the child prepares itself
            ours.send(_GO)
            reason = read_all(ours.fileno())
            if reason:
                raise SpawnError(reason.decode("utf-8", "replace"))
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
    return pid


def _live(
    parents: socket.socket,
    argv: "list[str]",
    folder: str,
    environment: "dict[str, str]",
    output: int,
    control: int,
    oom_score: str,
    parent: int,
) -> None:
    """The life of the child until it is a test. What goes wrong is told on `parents`, which a test's begin closes."""
    fd = parents.fileno()
    problem = ""
    try:
        fd = _above_the_test(fd)
        _become(_above_the_test(output), _above_the_test(control), oom_score, parent)
    except Exception as error:  # whatever it is, it has to be told
        problem = str(error)
    if os.read(fd, 1) == _GO:
        try:
            if not problem:
                _execute(argv, folder, environment)
        except Exception as error:
            problem = str(error)
        os.write(fd, problem.encode("utf-8", "replace"))


def _above_the_test(fd: int) -> int:
    """Return a duplicate of `fd` that is none of a test's descriptors, and that no test inherits."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LOWEST_OURS)


def _become(output: int, control: int, oom_score: str, parent: int) -> None:
    os.setsid()
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise SpawnError("the agent died before this process had asked to die with it")
    _reset_signals()
    if oom_score:
        _set_oom_score(oom_score)
    os.umask(0o022)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(control, _TEST_CONTROL)


def _execute(argv: "list[str]", folder: str, environment: "dict[str, str]") -> None:
    # Encoded here: Python 3.6 in the C locale would refuse what is not ASCII.
    variables = {_encode(name): _encode(value) for name, value in environment.items()}
    try:
        os.chdir(_encode(folder))
    except OSError as error:
        raise SpawnError("{}: {}".format(folder, error.strerror))
    try:
        os.execve(argv[0], argv, variables)
    except OSError as error:
        if error.errno == errno.E2BIG:
            raise SpawnError("the environment is larger than this machine takes")
        raise SpawnError("{}: {}".format(argv[0], error.strerror))


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _reset_signals() -> None:
    # An ignored signal stays ignored over exec, and no trap of a shell can undo it.
    for number in range(1, 32):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _set_oom_score(score: str) -> None:
    with open(_OOM_SCORE, "w") as file:
        file.write(score)
