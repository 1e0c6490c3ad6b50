"""What goes wrong with a run itself, and is neither a test's nor a machine's doing: it stops the run.

Used by the run's owner thread alone.
"""

import logging
from collections.abc import Callable

from atex_executor import PackFailed, SinkError

from atex_orchestrator.requests import Abort

_log = logging.getLogger(__name__)


class Faults:
    """Makes faults requests to stop, and keeps the first that is to be raised at the end."""

    def __init__(self, request: Callable[[Abort], None]) -> None:
        """`request` has the run stopped, when what is going on is done."""
        self.broken: BaseException | None = None
        """What a bug, ours or the user's, raised first, or KeyboardInterrupt."""
        self._request = request

    def report(self, error: BaseException, whose: str = "atex") -> None:
        """Stop the run for a bug of ATEX or of `whose`, or for what can not be read or written."""
        self._request(self.abort_for(error, whose))

    def report_folder(self, error: OSError) -> None:
        """Stop the run because its folder can not be written."""
        self._request(_unwritable(error.strerror or str(error)))

    def abort_for(self, error: BaseException, whose: str = "atex") -> Abort:
        """Return what stops the run for this."""
        if isinstance(error, PackFailed):
            return Abort(str(error))
        if isinstance(error, SinkError):
            return _unwritable(str(error))
        if error is not self.broken:  # a worker says it more than once
            _log.error("the run broke", exc_info=error)
        self.broken = self.broken or error
        return Abort(f"{whose} broke: {type(error).__name__}: {error}")


def _unwritable(reason: str) -> Abort:
    return Abort(f"the run folder can not be written: {reason}")
