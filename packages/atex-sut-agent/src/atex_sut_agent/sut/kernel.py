"""What the daemon asks of the kernel for itself, where it may."""

try:
    import ctypes

    _prctl: "Callable[..., int] | None" = ctypes.CDLL(None).prctl
except (ImportError, OSError, AttributeError):  # some minimal pythons come without it
    _prctl = None

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_CHILD_SUBREAPER = 36
_OOM_SCORE = "/proc/{}/oom_score_adj"

HAS_PRCTL = _prctl is not None


def become_subreaper() -> bool:
    """Make this process the parent of all its orphaned descendants (prctl(2)). Return whether that worked."""
    return _prctl is not None and _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


class OomProtection:
    """Keeps the kernel from choosing this process when memory runs out; its tests count as they would without it."""

    def __init__(self) -> None:
        self._before = ""
        try:
            with open(_OOM_SCORE.format("self")) as file:
                before = file.read()
            _write_score("self", "-1000")
            self._before = before
        except OSError:
            pass  # not root, or a container that does not allow it

    def lift(self, pid: int) -> None:
        """Process `pid` is our child, and no part of us."""
        if self._before:
            try:
                _write_score(pid, self._before)
            except OSError:
                pass  # it has ended


def _write_score(pid: "int | str", score: str) -> None:
    with open(_OOM_SCORE.format(pid), "w") as file:
        file.write(score)
