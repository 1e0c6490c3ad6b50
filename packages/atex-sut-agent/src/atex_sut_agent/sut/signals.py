"""The signals that a daemon takes note of, as events of its loop."""

import os
import signal

from .loop import READ, Loop

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable

_CAUGHT = (
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGTSTP,
    signal.SIGTTOU,
    signal.SIGCHLD,
    signal.SIGTERM,
)


def catch_signals(loop: Loop, on_signals: "Callable[[bytes], None]") -> None:
    """From now on none of these does anything but that `on_signals` is called, with the numbers of those that came."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    for number in _CAUGHT:
        signal.signal(
            number, _wake_up
        )  # never SIG_IGN, which a test would inherit: a handler it does not
    signal.set_wakeup_fd(writer)
    loop.watch(reader, READ, lambda mask: on_signals(os.read(reader, 4096)))


def _wake_up(number: int, frame: object) -> None:
    """The loop reads the number from the wake-up descriptor."""
