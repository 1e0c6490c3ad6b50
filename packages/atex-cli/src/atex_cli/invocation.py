"""What the whole command line shares: how much to say, and where the log of the run is."""

import logging
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = (
    "atex_sut_agent",
    "atex_fmf",
    "atex_provision",
    "atex_executor",
    "atex_orchestrator",
    "atex_cli",
)


@dataclass
class Invocation:
    """One call of `atex`; click hands it to the commands as `ctx.obj`."""

    verbose: bool = False
    log: Path | None = None
    """The run's log.txt, once there is a run."""
    signals: list[int] = field(default_factory=list)
    """Those that stopped the run, the first one first."""

    def start_logging(self) -> None:
        """Show on stderr all that the packages log, where that was asked for, and nothing of it where not."""
        handler = logging.StreamHandler() if self.verbose else logging.NullHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(threadName)s %(name)s: %(message)s"))
        for package in PACKAGES:
            logger = logging.getLogger(package)
            logger.addHandler(handler)
            if self.verbose:
                logger.setLevel(logging.DEBUG)

    def show_traceback(self, error: BaseException) -> None:
        """Print where an error came from, where -v asked for it."""
        if self.verbose:
            traceback.print_exception(error, file=sys.stderr)

    def keep_traceback(self, error: BaseException) -> str:
        """Store where an unexpected error came from, and return where to find it."""
        if self.log is None:
            return "-v shows where it happened"
        try:
            with self.log.open("a", encoding="utf-8", errors="backslashreplace") as log:
                traceback.print_exception(error, file=log)
        except OSError:
            return "-v shows where it happened"
        return f"{self.log} says where it happened"
